//! Every benchmark is read from a small folder in its official layout, and scored as its own
//! evaluation does.

use super::*;
use crate::data::columns::written::png;
use crate::data::{Item, Scorer};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// A benchmark's folder.
pub(super) struct Folder(pub(super) TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, content).expect("a file");
        self
    }

    /// A picture whose pixels depend on its name; what it is called does not matter to readers.
    pub(super) fn picture(&self, name: &str) -> &Self {
        self.write(name, png(name))
    }

    pub(super) fn json(&self, name: &str, value: &Value) -> &Self {
        self.write(name, value.to_string())
    }

    pub(super) fn lines(&self, name: &str, lines: &[Value]) -> &Self {
        self.write(name, lines.iter().map(|line| format!("{line}\n")).collect::<String>())
    }

    pub(super) fn read(&self, benchmark: Benchmark) -> Vec<Item> {
        let reading = benchmark.read(self.0.path(), BadLines::Refuse).expect("read");
        assert!(reading.skipped.is_empty());
        assert_eq!(reading.data.name, benchmark.word());
        reading.data.items
    }

    pub(super) fn refuses(&self, benchmark: Benchmark) -> String {
        benchmark.read(self.0.path(), BadLines::Refuse).expect_err("refused").to_string()
    }
}

/// What is read of an item but its picture.
pub(super) type Seen<'a> = (&'a str, &'a str, Vec<&'a str>, Scorer, &'a str);

pub(super) fn seen(item: &Item) -> Seen<'_> {
    let answers = item.answers.iter().map(String::as_str).collect();
    (&item.id, &item.question, answers, item.scorer, &item.family)
}

pub(super) fn value(figures: &[Figure], name: &str) -> f64 {
    let found = figures.iter().find(|figure| figure.name == name);
    found.unwrap_or_else(|| panic!("{name} of {figures:?}")).value
}

#[test]
fn vqa_rad_asks_its_test_questions_and_scores_open_and_closed_ones_apart() {
    let folder = Folder::new();
    let row = |qid: u64, phrase: &str, kind: &str, answer: Value| {
        json!({"qid": qid, "phrase_type": phrase, "image_name": "s1.jpg", "image_organ": "HEAD",
               "question": "Is it normal? ", "answer": answer, "answer_type": kind})
    };
    folder.picture("VQA_RAD Image Folder/s1.jpg").json(
        "VQA_RAD Dataset Public.json",
        &json!([
            row(1, "freeform", "CLOSED", json!("Yes")),
            row(2, "test_freeform", "CLOSED ", json!("Yes")),
            row(3, "test_para", "OPEN", json!("left lung")),
            row(4, "test_freeform", "CLOSED", json!(3)),
        ]),
    );
    let items = folder.read(Benchmark::VqaRad);
    let question = "Is it normal?\nAnswer the question using a single word or phrase.";
    assert_eq!(seen(&items[0]), ("2", question, vec!["Yes"], Scorer::Word, "closed"));
    assert_eq!(seen(&items[1]), ("3", question, vec!["left lung"], Scorer::Recall, "open"));
    assert_eq!((items.len(), items[2].answers[0].as_str()), (3, "3"));
    let scores: Vec<f32> =
        items.iter().zip(["yes.", "the left one", "4"]).map(|(i, said)| i.score(said)).collect();
    let figures = Benchmark::VqaRad.figures(&items, &scores);
    assert_eq!((value(&figures, "closed"), value(&figures, "open")), (50.0, 50.0));
}

#[test]
fn a_okvqa_asks_with_options_and_without() {
    let folder = Folder::new();
    let mut row = json!({"split": "val", "image_id": 42, "question_id": "q", "question": "What?",
        "choices": ["cat", "dog", "cow", "hen"], "correct_choice_idx": 2,
        "direct_answers": ["cow", "cow", "calf"], "difficult_direct_answer": false,
        "rationales": []});
    folder.picture("val2017/000000000042.jpg").json("aokvqa_v1p0_val.json", &json!([row]));
    let items = folder.read(Benchmark::AOkvqa);
    let question = "What?\nA. cat\nB. dog\nC. cow\nD. hen\n\
                    Answer with the option's letter from the given choices directly.";
    assert_eq!(seen(&items[0]), ("q", question, vec!["C", "cow"], Scorer::Choice, "all"));
    let direct = folder.read(Benchmark::AOkvqaDirect);
    assert!((direct[0].score("Cow") - 2.0 / 3.0).abs() < 1e-6);
    row["difficult_direct_answer"] = json!(true);
    folder.json("aokvqa_v1p0_val.json", &json!([row]));
    assert!(folder.refuses(Benchmark::AOkvqaDirect).contains("no question"));
    row["correct_choice_idx"] = json!(4);
    folder.json("aokvqa_v1p0_val.json", &json!([row]));
    let error = folder.refuses(Benchmark::AOkvqa);
    assert!(error.contains("entry 1") && error.contains("option 4"), "{error}");
}

#[test]
fn scienceqa_asks_the_test_questions_that_have_a_picture() {
    let folder = Folder::new();
    let row = |split: &str, image: Value, hint: &str| {
        json!({"question": "Which?", "choices": ["x", "y"], "answer": 1, "hint": hint,
               "image": image, "task": "t", "grade": "2", "subject": "natural science",
               "topic": "", "category": "", "skill": "", "lecture": "", "solution": "",
               "split": split})
    };
    folder.picture("images/test/7/image.png").picture("test/8/image.png").json(
        "problems.json",
        &json!({"5": row("train", json!("image.png"), ""), "6": row("test", Value::Null, ""),
                "7": row("test", json!("image.png"), "A hint."),
                "8": row("test", json!("image.png"), "")}),
    );
    let items = folder.read(Benchmark::ScienceQa);
    let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["7", "8"]);
    assert!(items[0].question.starts_with("Context: A hint.\nWhich?\nA. x\nB. y\nAnswer"));
    assert_eq!((items[1].answers[0].as_str(), items[1].family.as_str()), ("B", "natural science"));
}

#[test]
fn gqa_realworldqa_and_textvqa_are_read() {
    let folder = Folder::new();
    folder.picture("images/n1.jpg").json(
        "testdev_balanced_questions.json",
        &json!({"201": {"imageId": "n1", "question": "Is it red?", "answer": "yes",
            "fullAnswer": "Yes, it is.", "isBalanced": true,
            "types": {"structural": "verify", "semantic": "attr", "detailed": "x"}}}),
    );
    let items = folder.read(Benchmark::Gqa);
    assert_eq!((items[0].id.as_str(), items[0].family.as_str()), ("201", "verify"));
    assert_eq!(items[0].score("Yes."), 1.0);

    folder.picture("0.webp").json(
        "annotations.json",
        &json!([{"image": "0.webp", "question": "Where?\nA. left\nB. right", "answer": "B"},
                {"image": "0.webp", "question": "How many?", "answer": 2}]),
    );
    let items = folder.read(Benchmark::RealWorldQa);
    assert_eq!((items[0].score("B."), items[0].score("A")), (1.0, 0.0));
    assert!(items[0].question.ends_with("right"), "asked as it stands");
    assert_eq!((items[0].id.as_str(), items[1].id.as_str()), ("0.webp", "0.webp (2)"));

    let mut answers = vec!["nokia"; 9];
    answers.push("nokia phone");
    folder.picture("train_images/ab.jpg").json(
        "TextVQA_0.5.1_val.json",
        &json!({"dataset_type": "val", "data": [{"question_id": 34602, "image_id": "ab",
            "question": "what brand?", "answers": answers}]}),
    );
    let items = folder.read(Benchmark::TextVqa);
    assert_eq!((items[0].id.as_str(), items[0].score("Nokia.")), ("34602", 1.0));
    assert!((items[0].score("nokia phone") - 0.3).abs() < 1e-6);
}

#[test]
fn mme_counts_questions_and_pictures() {
    let folder = Folder::new();
    let text = "Is it a? Please answer yes or no.\tYes\nIs it b? Please answer yes or no.\tNo\n";
    folder.picture("count/1.jpg").write("count/1.txt", text);
    folder.picture("count/2.png").write("count/2.txt", text);
    let two = "code_reasoning";
    folder.picture(&format!("{two}/images/9.png"));
    folder.write(&format!("{two}/questions_answers_YN/9.txt"), text);
    let items = folder.read(Benchmark::Mme);
    let first = "Is it a? Please answer yes or no.";
    assert_eq!(seen(&items[0]), ("count/1/1", first, vec!["yes"], Scorer::YesNo, "count"));
    let said = ["Yes", "No", "yes", "Yes", "perhaps", "no"];
    let scores: Vec<f32> = items.iter().zip(said).map(|(item, said)| item.score(said)).collect();
    let figures = Benchmark::Mme.figures(&items, &scores);
    // Three of four right, one of two pictures whole; then one of two, none.
    assert_eq!(value(&figures, "count, of 200"), 125.0);
    assert_eq!(value(&figures, "perception, of 200"), 125.0);
    assert_eq!(value(&figures, "cognition, of 200"), 50.0);

    folder.write("count/2.txt", "Is it a?\tYes\nno tabulator\n");
    let error = folder.refuses(Benchmark::Mme);
    assert!(error.contains("2.txt, line 2") && error.contains("tabulator"), "{error}");
    let reading = Benchmark::Mme.read(folder.0.path(), BadLines::Skip).expect("the others");
    assert_eq!((reading.data.items.len(), reading.skipped.len()), (5, 1));
}

#[test]
fn pope_reports_f1_by_split() {
    let folder = Folder::new();
    let row = |id: u64, label: &str| {
        json!({"question_id": id, "image": "COCO_val2014_1.jpg", "text": "Is there a dog?",
               "label": label})
    };
    let rows: Vec<Value> = (0..10).map(|i| row(i, if i < 5 { "yes" } else { "no" })).collect();
    folder.picture("val2014/COCO_val2014_1.jpg").lines("coco_pope_popular.json", &rows);
    let items = folder.read(Benchmark::Pope);
    assert_eq!(items[0].id, "popular-0");
    // Four of the five that are there are found, and one that is not.
    let said = ["yes", "yes", "Yes.", "There is", "no", "no", "not at all", "no", "No", "yes"];
    let scores: Vec<f32> = items.iter().zip(said).map(|(item, said)| item.score(said)).collect();
    let figures = Benchmark::Pope.figures(&items, &scores);
    for (name, expected) in
        [("F1", 80.0), ("accuracy", 80.0), ("precision", 80.0), ("recall", 80.0), ("yes", 50.0)]
    {
        let found = value(&figures, &format!("{name}, popular"));
        assert!((found - expected).abs() < 1e-9, "{name}: {found}");
    }
    assert!(figures.iter().all(|figure| figure.name.ends_with("popular")));
    assert!(Folder::new().refuses(Benchmark::Pope).contains("coco_pope_random.json"));
    folder.lines("coco_pope_random.json", &[row(1, "maybe")]);
    let error = folder.refuses(Benchmark::Pope);
    assert!(error.contains("line 1") && error.contains("\"maybe\""), "{error}");
}

#[test]
fn ai2d_shows_letters_where_options_are_letters() {
    let folder = Folder::new();
    folder.write("ai2d_test_ids.csv", "12\n").picture("images/12.png").picture("abc_images/12.png");
    let question = |id: &str, abc: bool| {
        json!({"abcLabel": abc, "answerTexts": ["sun", "moon", "rain", "snow"],
               "correctAnswer": 3, "questionId": id, "questionType": "Multiple Choice"})
    };
    folder.json(
        "questions/12.png.json",
        &json!({"imageName": "12.png",
                "questions": {"Which is D?": question("b", true), "What?": question("a", false)}}),
    );
    let items = folder.read(Benchmark::Ai2d);
    let seen: Vec<_> = items.iter().map(|i| (i.id.as_str(), i.family.as_str())).collect();
    assert_eq!(seen, [("a", "labels"), ("b", "letters")]);
    assert_ne!(items[0].pictures, items[1].pictures);
    assert_eq!(items[0].score("D"), 1.0);
    folder.write("ai2d_test_ids.csv", "../12\n");
    assert!(folder.refuses(Benchmark::Ai2d).contains("leads out"));
}

#[test]
fn chartqa_is_the_mean_of_its_halves() {
    let folder = Folder::new();
    let row = |label: Value| json!({"imgname": "1.png", "query": "How many?", "label": label});
    folder
        .picture("test/png/1.png")
        .json("test/test_human.json", &json!([row(json!("100")), row(json!(3))]))
        .json("test/test_augmented.json", &json!([row(json!("Italy"))]));
    let items = folder.read(Benchmark::ChartQa);
    let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["human-1", "human-2", "augmented-1"]);
    let scores: Vec<f32> =
        items.iter().zip(["96", "4", "italy"]).map(|(item, said)| item.score(said)).collect();
    let figures = Benchmark::ChartQa.figures(&items, &scores);
    assert_eq!(value(&figures, "relaxed accuracy"), 75.0);
    assert_eq!((value(&figures, "human"), value(&figures, "augmented")), (50.0, 100.0));
}

#[test]
fn documents_are_scored_by_anls_and_readings_by_what_they_contain() {
    let folder = Folder::new();
    folder.picture("documents/x_1.png").json(
        "val_v1.0_withQT.json",
        &json!({"dataset_name": "SP-DocVQA", "data": [{"questionId": 49153, "docId": 1,
            "question": "Date?", "image": "documents/x_1.png", "question_types": ["form"],
            "answers": ["1/8/93", "1/8/1993"], "data_split": "val"}]}),
    );
    let items = folder.read(Benchmark::DocVqa);
    assert_eq!((items[0].score("1/8/93"), items[0].scorer), (1.0, Scorer::Anls));

    folder.picture("infographicsvqa_images/9.jpeg").json(
        "infographicsVQA_val_v1.0_withQT.json",
        &json!({"data": [{"questionId": 1, "question": "Share?", "image_local_name": "9.jpeg",
            "answers": ["90%"], "data_split": "val"}]}),
    );
    let figures = Benchmark::InfoVqa.figures(&folder.read(Benchmark::InfoVqa), &[0.5]);
    assert_eq!(value(&figures, "ANLS"), 50.0);

    let row = |id: u64, set: &str, kind: &str, answers: Value| {
        json!({"dataset_name": set, "type": kind, "id": id, "image_path": "S/1.jpg",
               "question": "what is written?", "answers": answers})
    };
    folder.picture("OCRBench_Images/S/1.jpg").json(
        "OCRBench.json",
        &json!([
            row(0, "IIIT5K", "Regular Text Recognition", json!(["CENTRE"])),
            row(1, "HME100k", "Handwritten Mathematical Expression Recognition", json!("X=1"))
        ]),
    );
    let items = folder.read(Benchmark::OcrBench);
    let scores: Vec<f32> =
        items.iter().zip(["the centre", "x = 1"]).map(|(i, said)| i.score(said)).collect();
    assert_eq!(value(&Benchmark::OcrBench.figures(&items, &scores), "right of 2"), 1.0);
}

#[test]
fn refcoco_is_read_with_its_boxes() {
    let folder = Folder::new();
    let row = |bounds: [f64; 4]| {
        json!({"image": "data/refcoco/train2014/COCO_1.jpg", "sent": "left one", "bbox": bounds,
               "height": 2, "width": 2})
    };
    folder
        .picture("train2014/COCO_1.jpg")
        .lines("refcoco_testA.jsonl", &[row([0.0, 0.0, 1.0, 2.0]), row([1.0, 0.0, 0.5, 2.0])]);
    let error = read_refcoco(folder.0.path(), BadLines::Refuse).expect_err("a box inside out");
    let error = error.to_string();
    assert!(error.contains("line 2") && error.contains("`bbox`"), "{error}");
    let (read, skipped) = read_refcoco(folder.0.path(), BadLines::Skip).expect("the other");
    assert_eq!((read.len(), skipped.len()), (1, 1));
    assert_eq!((read[0].split.as_str(), read[0].bounds), ("testA", [0.0, 0.0, 1.0, 2.0]));
    assert!(folder.refuses(Benchmark::RefCoco).contains("no answers"));
    let nothing = read_refcoco(Folder::new().0.path(), BadLines::Skip).expect_err("no split");
    assert!(nothing.to_string().contains("refcoco_val.jsonl"), "{nothing}");
}

#[test]
fn pictures_stay_in_the_folder_and_what_is_missing_is_named() {
    let folder = Folder::new();
    let row = |image: &str| json!([{"image": image, "question": "Where?", "answer": "B"}]);
    for (image, says) in [("../x.png", "leads out"), ("/x.png", "leads out"), ("x.png", "x.png")] {
        folder.json("annotations.json", &row(image));
        let error = folder.refuses(Benchmark::RealWorldQa);
        assert!(error.contains("entry 1") && error.contains(says), "{error}");
    }
    for benchmark in Benchmark::ALL {
        let error = Folder::new().refuses(benchmark);
        assert!(error.len() > 10, "{benchmark}: {error}");
    }
}

#[test]
fn names_read_back() {
    for benchmark in Benchmark::ALL {
        assert_eq!(Benchmark::named(benchmark.word()), Some(benchmark));
        assert!(!benchmark.layout().is_empty() && !benchmark.source().is_empty());
    }
}

#[test]
fn the_document_says_of_every_benchmark_what_is_read_and_how_it_is_scored() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks.md");
    let document = fs::read_to_string(path).expect("the document");
    let rows: Vec<String> = Benchmark::ALL
        .iter()
        .map(|one| {
            let (layout, columns) = (one.layout(), one.columns());
            format!("| `{one}` | {layout} | {columns} | {} | {} |", one.metric(), one.source())
        })
        .collect();
    let missing: Vec<&String> =
        rows.iter().filter(|row| !document.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "expected these rows:\n{}", rows.join("\n"));
}
