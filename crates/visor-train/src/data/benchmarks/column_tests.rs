//! Every benchmark is read from a small copy of the hub's tables, to the same questions, answers and
//! figures as from its authors' layout.

use super::tests::{Folder, seen, value};
use super::*;
use crate::data::columns::written::{Form, Kind, write};
use crate::data::{Item, Scorer};
use serde_json::{Value, json};

type Columns = [(&'static str, Kind)];

impl Folder {
    fn table(&self, name: &str, columns: &Columns, rows: &[Value]) -> &Self {
        write(&self.0.path().join(name), columns, rows, Form::default());
        self
    }
}

fn table(name: &str, columns: &Columns, rows: &[Value]) -> Folder {
    let folder = Folder::new();
    folder.table(name, columns, rows);
    folder
}

/// Reads a benchmark from both layouts. All but the names is the same, and so are the figures of
/// the same scores.
fn alike(benchmark: Benchmark, files: &Folder, tables: &Folder) -> (Vec<Item>, Vec<Item>) {
    let both = (files.read(benchmark), tables.read(benchmark));
    assert_eq!(both.0.len(), both.1.len());
    for (file, row) in both.0.iter().zip(&both.1) {
        let ((_, asked, right, by, of), (_, question, answers, scorer, family)) =
            (seen(file), seen(row));
        assert_eq!((question, answers, scorer, family), (asked, right, by, of));
        let pixels = |item: &Item| item.pictures[0].pixels().expect("a picture");
        assert_eq!(pixels(row), pixels(file), "{question}");
    }
    let scores: Vec<f32> = (0..both.0.len()).map(|i| f32::from(u8::from(i % 3 < 2))).collect();
    let figures = benchmark.figures(&both.0, &scores);
    assert_eq!(benchmark.figures(&both.1, &scores), figures);
    assert!(!figures.is_empty());
    both
}

fn ids(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.id.as_str()).collect()
}

const RAD: [(&str, Kind); 3] =
    [("image", Kind::Picture), ("question", Kind::Text), ("answer", Kind::Text)];

#[test]
fn vqa_rad_of_the_hub_is_closed_where_the_answer_is_yes_or_no() {
    let files = Folder::new();
    let row = |answer: &str, kind: &str| {
        json!({"qid": 1, "phrase_type": "test_para", "image_name": "s1.jpg",
               "question": "Is it normal?", "answer": answer, "answer_type": kind})
    };
    files.picture("VQA_RAD Image Folder/s1.jpg").json(
        "VQA_RAD Dataset Public.json",
        &json!([row("Yes", "CLOSED"), row("left lung", "OPEN"), row("no", "CLOSED")]),
    );
    let image = "VQA_RAD Image Folder/s1.jpg";
    let row = |answer: &str| json!({"image": image, "question": "Is it normal?", "answer": answer});
    let rows = [row("Yes"), row("left lung"), row("no")];
    let tables = table("data/test-00000-of-00001-e5bc3d208bb4deeb.parquet", &RAD, &rows);
    let (_, items) = alike(Benchmark::VqaRad, &files, &tables);
    assert_eq!(ids(&items), ["1", "2", "3"]);
    assert_eq!((items[1].scorer, items[2].scorer), (Scorer::Recall, Scorer::Word));
    assert_eq!(items[0].pictures, items[2].pictures, "the same bytes are one picture");
}

#[test]
fn a_okvqa_of_the_hub_has_its_direct_answers_in_a_text() {
    let files = Folder::new();
    let row = |answers: Value, difficult: bool| {
        json!({"image_id": 42, "question_id": "q", "question": "What?",
               "choices": ["cat", "dog", "cow", "hen"], "correct_choice_idx": 2,
               "direct_answers": answers, "difficult_direct_answer": difficult})
    };
    files.picture("val2017/000000000042.jpg").json(
        "aokvqa_v1p0_val.json",
        &json!([row(json!(["cow", "it's"]), false), row(json!(["calf"]), true)]),
    );
    let row = |answers: &str, difficult: bool| {
        json!({"image": "val2017/000000000042.jpg", "question_id": "q", "question": "What?",
               "choices": ["cat", "dog", "cow", "hen"], "correct_choice_idx": 2,
               "direct_answers": answers, "difficult_direct_answer": difficult,
               "rationales": []})
    };
    let columns = [
        ("image", Kind::Picture),
        ("question_id", Kind::Text),
        ("question", Kind::Text),
        ("choices", Kind::Texts),
        ("correct_choice_idx", Kind::Small),
        ("direct_answers", Kind::Text),
        ("difficult_direct_answer", Kind::Truth),
        ("rationales", Kind::Texts),
    ];
    let name = "data/validation-00000-of-00001-b2bd0de231b6326a.parquet";
    let tables = table(name, &columns, &[row("['cow', \"it's\"]", false), row("['calf']", true)]);
    for benchmark in [Benchmark::AOkvqa, Benchmark::AOkvqaDirect] {
        let (files, items) = alike(benchmark, &files, &tables);
        assert_eq!(ids(&items), ids(&files));
    }
    tables.table(name, &columns, &[row("cow", false)]);
    let error = tables.refuses(Benchmark::AOkvqaDirect);
    assert!(error.contains("row `1`: column `direct_answers`: expected a list"), "{error}");
}

#[test]
fn scienceqa_of_the_hub_is_asked_where_there_is_a_picture() {
    let files = Folder::new();
    let row = |image: Value, hint: &str| {
        json!({"question": "Which?", "choices": ["x", "y"], "answer": 1, "hint": hint,
               "image": image, "subject": "natural science", "split": "test"})
    };
    files.picture("test/7/image.png").picture("test/9/image.png").json(
        "problems.json",
        &json!({"7": row(json!("image.png"), "A hint."), "8": row(Value::Null, ""),
                "9": row(json!("image.png"), "")}),
    );
    let columns = [
        ("image", Kind::Picture),
        ("question", Kind::Text),
        ("choices", Kind::Texts),
        ("answer", Kind::Small),
        ("hint", Kind::Text),
        ("subject", Kind::Text),
    ];
    let rows = [
        row(json!("test/7/image.png"), "A hint."),
        row(Value::Null, ""),
        row(json!("test/9/image.png"), ""),
    ];
    for name in ["data/test-00000-of-00001-f0e719df791966ff", "ScienceQA-IMG/test-00000-of-00001"] {
        let tables = table(&format!("{name}.parquet"), &columns, &rows);
        let (_, items) = alike(Benchmark::ScienceQa, &files, &tables);
        assert_eq!(ids(&items), ["1", "3"]);
    }
    let elsewhere = table("test.parquet", &columns, &[row(json!({"bytes": null}), "")]);
    assert!(elsewhere.refuses(Benchmark::ScienceQa).contains("`image` is null in a struct"));
}

#[test]
fn gqa_of_the_hub_finds_pictures_in_their_own_configuration() {
    let files = Folder::new();
    let row = |image: &str, kind: &str| {
        json!({"imageId": image, "question": "Is it red?", "answer": "yes",
               "types": {"structural": kind, "semantic": "attr"}})
    };
    files.picture("images/n1.jpg").picture("images/n2.jpg").json(
        "testdev_balanced_questions.json",
        &json!({"201": row("n1", "verify"), "202": row("n2", "query"), "203": row("n1", "query")}),
    );
    let row = |id: &str, image: &str, kind: &str| {
        json!({"id": id, "imageId": image, "question": "Is it red?", "answer": "yes",
               "types": {"structural": kind}})
    };
    let columns = [
        ("id", Kind::Text),
        ("imageId", Kind::Text),
        ("question", Kind::Text),
        ("answer", Kind::Text),
        ("types", Kind::Struct("structural")),
    ];
    let name = "testdev_balanced_instructions/testdev-00000-of-00001.parquet";
    let rows = [row("201", "n1", "verify"), row("202", "n2", "query"), row("203", "n1", "query")];
    let tables = table(name, &columns, &rows);
    let error = tables.refuses(Benchmark::Gqa);
    assert!(error.contains("`testdev_balanced_images/testdev-*`"), "{error}");
    let picture = |name: &str| json!({"id": name, "image": format!("images/{name}.jpg")});
    tables.table(
        "testdev_balanced_images/testdev-00000-of-00001.parquet",
        &[("id", Kind::Text), ("image", Kind::Picture)],
        &[picture("n1"), picture("n2")],
    );
    let (files, items) = alike(Benchmark::Gqa, &files, &tables);
    assert_eq!(ids(&items), ids(&files));
    tables.table(name, &columns, &[row("204", "n3", "query")]);
    let error = tables.refuses(Benchmark::Gqa);
    assert!(error.contains("row `1`: no picture is called `n3`"), "{error}");
}

#[test]
fn mme_of_the_hub_pairs_questions_by_their_id() {
    let files = Folder::new();
    let text = "Is it a? Please answer yes or no.\tYes\nIs it b? Please answer yes or no.\tNo\n";
    for name in ["count/1", "count/2", "code_reasoning/9"] {
        files.picture(&format!("{name}.png")).write(&format!("{name}.txt"), text);
    }
    let columns = [
        ("question_id", Kind::Text),
        ("image", Kind::Picture),
        ("question", Kind::Text),
        ("answer", Kind::Text),
        ("category", Kind::Text),
    ];
    let row = |name: &str, letter: &str, answer: &str| {
        json!({"question_id": format!("{name}.png"), "image": format!("{name}.png"),
               "question": format!("Is it {letter}? Please answer yes or no."),
               "answer": answer, "category": name.split('/').next()})
    };
    let pair = |name: &str| [row(name, "a", "Yes"), row(name, "b", "No")];
    let rows = [pair("count/1"), pair("count/2"), pair("code_reasoning/9")].concat();
    let tables = table("data/test-00000-of-00001.parquet", &columns, &rows);
    let (_, items) = alike(Benchmark::Mme, &files, &tables);
    assert_eq!(ids(&items)[..3], ["count/1.png/1", "count/1.png/2", "count/2.png/1"]);
    let figures = Benchmark::Mme.figures(&items, &[1.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    assert_eq!(value(&figures, "count, of 200"), 125.0);
    assert_eq!(value(&figures, "cognition, of 200"), 50.0);
    let other = json!({"question_id": "x", "image": "x", "question": "?", "answer": "Yes",
                       "category": "colour"});
    let error = table("test.parquet", &columns, &[other]).refuses(Benchmark::Mme);
    assert!(error.contains("`category` is \"colour\"") && error.contains("color"), "{error}");
}

#[test]
fn pope_of_the_hub_has_its_splits_in_a_column() {
    let files = Folder::new();
    let row = |id: u64, label: &str| json!({"question_id": id, "image": "COCO_1.jpg", "text": "Is there a dog?", "label": label});
    files
        .picture("val2014/COCO_1.jpg")
        .lines("coco_pope_random.json", &[row(1, "yes"), row(2, "no")])
        .lines("coco_pope_adversarial.json", &[row(1, "no")]);
    let columns = [
        ("id", Kind::Text),
        ("question_id", Kind::Text),
        ("question", Kind::Text),
        ("answer", Kind::Text),
        ("image_source", Kind::Text),
        ("image", Kind::Picture),
        ("category", Kind::Text),
    ];
    let row = |id: &str, answer: &str, category: &str| {
        json!({"id": "0", "question_id": id, "question": "Is there a dog?", "answer": answer,
               "image": "val2014/COCO_1.jpg", "category": category})
    };
    let rows = [row("1", "yes", "random"), row("2", "no", "random"), row("1", "no", "adversarial")];
    let tables = table("data/test-00000-of-00001.parquet", &columns, &rows);
    let (files, items) = alike(Benchmark::Pope, &files, &tables);
    assert_eq!(ids(&items), ids(&files));
    for (answer, category, says) in
        [("maybe", "random", "\"maybe\""), ("yes", "rare", "random, popular, adversarial")]
    {
        let error =
            table("test.parquet", &columns, &[row("1", answer, category)]).refuses(Benchmark::Pope);
        assert!(error.contains("row `1`") && error.contains(says), "{error}");
    }
}

#[test]
fn questions_with_answers_of_several_people_are_read_from_the_hub() {
    for (benchmark, (list, picture, image), (name, id, kind)) in [
        (
            Benchmark::TextVqa,
            ("TextVQA_0.5.1_val.json", "train_images/ab.jpg", ("image_id", "ab")),
            ("data/validation-00000-of-00001", "question_id", Kind::Whole),
        ),
        (
            Benchmark::InfoVqa,
            (
                "infographicsVQA_val_v1.0_withQT.json",
                "infographicsvqa_images/9.jpeg",
                ("image_local_name", "9.jpeg"),
            ),
            ("InfographicVQA/validation-00000-of-00001", "questionId", Kind::Text),
        ),
        (
            Benchmark::DocVqa,
            ("val_v1.0_withQT.json", "documents/x_1.png", ("image", "documents/x_1.png")),
            ("DocVQA/validation-00000-of-00001", "questionId", Kind::Text),
        ),
    ] {
        let answers = ["nokia", "nokia phone"];
        let files = Folder::new();
        let (field, value) = image;
        files.picture(picture).json(
            list,
            &json!({"data": [{id: 34602, field: value, "question": "what brand?",
                              "answers": answers}]}),
        );
        let columns = [
            (id, kind),
            ("question", Kind::Text),
            ("image", Kind::Picture),
            ("answers", Kind::Texts),
        ];
        let row = |id_of: Value| json!({id: id_of, "question": "what brand?", "image": picture, "answers": answers});
        let number = if matches!(kind, Kind::Text) { json!("34602") } else { json!(34602) };
        let tables = table(&format!("{name}.parquet"), &columns, &[row(number)]);
        let (files, items) = alike(benchmark, &files, &tables);
        assert_eq!((ids(&items), ids(&items)), (ids(&files), vec!["34602"]));
    }
}

#[test]
fn ai2d_of_the_hub_counts_options_in_a_text() {
    let files = Folder::new();
    files.write("ai2d_test_ids.csv", "12\n").picture("images/12.png").json(
        "questions/12.png.json",
        &json!({"imageName": "12.png", "questions": {"What?": {"questionId": "a",
            "answerTexts": ["sun", "moon"], "correctAnswer": 1, "abcLabel": false}}}),
    );
    let columns = [
        ("question", Kind::Text),
        ("options", Kind::Texts),
        ("answer", Kind::Text),
        ("image", Kind::Picture),
    ];
    let row = |answer: &str| {
        json!({"question": "What?", "options": ["sun", "moon"], "answer": answer,
               "image": "images/12.png"})
    };
    let tables = table("data/test-00000-of-00001.parquet", &columns, &[row("1")]);
    let (files, items) = (files.read(Benchmark::Ai2d), tables.read(Benchmark::Ai2d));
    assert_eq!((&items[0].question, &items[0].answers), (&files[0].question, &files[0].answers));
    // Which picture a row shows is not told.
    assert_eq!((files[0].family.as_str(), items[0].family.as_str()), ("labels", "all"));
    for (answer, says) in [("2", "option 2"), ("B", "\"B\": expected the number of an option")] {
        let error = table("test.parquet", &columns, &[row(answer)]).refuses(Benchmark::Ai2d);
        assert!(error.contains("row `1`") && error.contains(says), "{error}");
    }
}

#[test]
fn chartqa_is_read_from_both_copies_of_the_hub() {
    let files = Folder::new();
    let row = |label: &str| json!({"imgname": "1.png", "query": "How many?", "label": label});
    files
        .picture("test/png/1.png")
        .json("test/test_human.json", &json!([row("100"), row("3")]))
        .json("test/test_augmented.json", &json!([row("Italy")]));
    let image = ("image", Kind::Picture);
    let lmms = [("type", Kind::Text), ("question", Kind::Text), ("answer", Kind::Text), image];
    let row = |half: &str, answer: &str| json!({"type": half, "question": "How many?", "answer": answer, "image": "test/png/1.png"});
    let rows = [row("human_test", "100"), row("human_test", "3"), row("augmented_test", "Italy")];
    let first = table("data/test-00000-of-00001.parquet", &lmms, &rows);
    let m4 =
        [image, ("query", Kind::Text), ("label", Kind::Texts), ("human_or_machine", Kind::Whole)];
    let row = |half: u64, label: &str| {
        json!({"image": "test/png/1.png", "query": "How many?", "label": [label],
               "human_or_machine": half})
    };
    let rows = [row(0, "100"), row(0, "3"), row(1, "Italy")];
    let second = table("data/test-00000-of-00001-e2cd0b7a0f9eb20d.parquet", &m4, &rows);
    for tables in [&first, &second] {
        let (files, items) = alike(Benchmark::ChartQa, &files, tables);
        assert_eq!(ids(&items), ids(&files));
    }
    second.table("data/test-00000-of-00001-e2cd0b7a0f9eb20d.parquet", &m4, &[row(2, "4")]);
    assert!(second.refuses(Benchmark::ChartQa).contains("`human_or_machine` is 2"));
}

#[test]
fn realworldqa_and_ocrbench_are_read_from_the_hub() {
    let files = Folder::new();
    files.picture("0.webp").json(
        "annotations.json",
        &json!([{"image": "0.webp", "question": "Where?\nA. left\nB. right", "answer": "B"}]),
    );
    let row = json!({"image": "0.webp", "question": "Where?\nA. left\nB. right", "answer": "B"});
    let tables = table("data/test-00000-of-00001.parquet", &RAD, &[row]);
    alike(Benchmark::RealWorldQa, &files, &tables);

    let files = Folder::new();
    let set = ["IIIT5K", "HME100k"];
    let row = |index: usize, answers: &str| {
        json!({"dataset_name": set[index], "type": "Reading", "id": index + 1,
               "image_path": "S/1.jpg", "question": "what?", "answers": [answers]})
    };
    files
        .picture("OCRBench_Images/S/1.jpg")
        .json("OCRBench.json", &json!([row(0, "CENTRE"), row(1, "X=1")]));
    let columns = [
        ("dataset", Kind::Text),
        ("question", Kind::Text),
        ("question_type", Kind::Text),
        ("answer", Kind::Texts),
        ("image", Kind::Picture),
    ];
    let row = |index: usize, answer: &str| {
        json!({"dataset": set[index], "question": "what?", "question_type": "Reading",
               "answer": [answer], "image": "OCRBench_Images/S/1.jpg"})
    };
    let rows = [row(0, "CENTRE"), row(1, "X=1")];
    let tables = table("data/test-00000-of-00001.parquet", &columns, &rows);
    let (files, items) = alike(Benchmark::OcrBench, &files, &tables);
    assert_eq!((items[0].scorer, items[1].scorer), (Scorer::Contains, Scorer::Formula));
    assert_eq!(ids(&items), ids(&files));
}

#[test]
fn refcoco_of_the_hub_has_an_expression_each_and_boxes_by_width_and_height() {
    let files = Folder::new();
    let row =
        |sent: &str| json!({"image": "COCO_1.jpg", "sent": sent, "bbox": [0.5, 0.0, 1.0, 2.0]});
    files
        .picture("train2014/COCO_1.jpg")
        .lines("refcoco_testA.jsonl", &[row("left one"), row("the cat")]);
    let columns = [
        ("question_id", Kind::Text),
        ("image", Kind::Picture),
        ("question", Kind::Text),
        ("answer", Kind::Texts),
        ("bbox", Kind::Reals),
        ("file_name", Kind::Text),
    ];
    let row = |bbox: Value| {
        json!({"question_id": "1", "image": "train2014/COCO_1.jpg", "question": "?",
               "answer": ["left one", "the cat"], "bbox": bbox, "file_name": "COCO_1.jpg"})
    };
    let rows = [row(json!([0.5, 0.0, 0.5, 2.0])), row(json!([1.0, 0.0, -0.5, 2.0]))];
    let name = "data/testA-00000-of-00001.parquet";
    let tables = table(name, &columns, &rows);
    let read = |folder: &Folder, bad| read_refcoco(folder.0.path(), bad);
    let (theirs, _) = read(&files, BadLines::Refuse).expect("lines");
    let (ours, skipped) = read(&tables, BadLines::Skip).expect("the first row");
    assert_eq!((ours.len(), skipped.len()), (2, 1));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!((&ours.expression, ours.bounds), (&theirs.expression, theirs.bounds));
        let pixels = [ours, theirs].map(|one| one.picture.pixels().expect("a picture"));
        assert_eq!((&ours.split, &pixels[0]), (&theirs.split, &pixels[1]));
    }
    assert_eq!(ours[1].id, "testA, row 1, expression 2");
    let error = read(&tables, BadLines::Refuse).expect_err("a box inside out").to_string();
    assert!(error.contains("row `2`") && error.contains("`bbox`"), "{error}");
    tables.table(name, &columns, &[row(json!([1.0, 2.0]))]);
    let error = read(&tables, BadLines::Refuse).expect_err("half a box").to_string();
    assert!(error.contains("expected left, top, width and height"), "{error}");
}

#[test]
fn a_folder_with_neither_layout_says_what_both_look_like() {
    for benchmark in Benchmark::ALL.into_iter().filter(|&one| one != Benchmark::RefCoco) {
        let folder = Folder::new();
        folder.write("README.md", "nothing").write("data/train-00000-of-00001.parquet", "x");
        let error = folder.refuses(benchmark);
        assert!(error.contains(&format!("does not hold {benchmark}")), "{error}");
        let layout = match benchmark {
            Benchmark::AOkvqaDirect => Benchmark::AOkvqa.layout(),
            benchmark => benchmark.layout(),
        };
        assert!(error.contains(layout) && error.contains(benchmark.columns()), "{error}");
    }
    let error = read_refcoco(Folder::new().0.path(), BadLines::Skip).expect_err("neither");
    assert!(error.to_string().contains("`data/val-*`"), "{error}");
}

#[test]
fn bad_rows_of_a_table_are_named_or_left_out() {
    let row = |image: Value| json!({"image": image, "question": "Why?", "answer": "so"});
    let rows = [
        row(json!("a")),
        row(Value::Null),
        row(json!({"bytes": null})),
        row(json!({"bytes": "no picture"})),
        json!({"image": "b", "answer": "so"}),
        row(json!("a")),
    ];
    let folder = table("data/test-00000-of-00001.parquet", &RAD, &rows);
    let error = folder.refuses(Benchmark::VqaRad);
    assert!(error.contains("test-00000-of-00001.parquet, row `2`"), "{error}");
    let reading = Benchmark::VqaRad.read(folder.0.path(), BadLines::Skip).expect("the others");
    assert_eq!(ids(&reading.data.items), ["1", "6"], "names are places");
    let skipped: Vec<String> = reading.skipped.iter().map(ToString::to_string).collect();
    for (error, (row, says)) in skipped.iter().zip([
        (2, "column `image` is null: expected the bytes of a picture"),
        (3, "column `image` is null in a struct that is there: expected the bytes of a picture"),
        (4, "picture in `"),
        (5, "column `question` is null: expected text"),
    ]) {
        assert!(error.contains(&format!("row `{row}`")) && error.contains(says), "{error}");
    }
    assert_eq!(skipped.len(), 4);

    let empty = table("data/test-00000-of-00001.parquet", &RAD, &[]);
    assert!(empty.refuses(Benchmark::VqaRad).contains("no question"));
    let error = table("test.parquet", &RAD[..2], &[]).refuses(Benchmark::VqaRad);
    assert!(error.contains("no column `answer`, but `image`, `question`"), "{error}");
}

/// Written by `tools/make_parquet_fixture.py`.
#[test]
fn a_table_that_pyarrow_wrote_is_read_as_one_of_our_own() {
    let folder = Folder::new();
    let name = "data/test-00000-of-00001-9c7f1d2b3a4e5f60.parquet";
    folder.write(name, include_bytes!("../../../tests/parquet/scienceqa.parquet"));
    let items = folder.read(Benchmark::ScienceQa);
    assert_eq!(ids(&items), ["1", "3", "4"]);
    let question = "Context: A hint.\nWhich?\nA. x\nB. y\n\
                    Answer with the option's letter from the given choices directly.";
    let right = vec!["B", "y"];
    assert_eq!(seen(&items[0]), ("1", question, right, Scorer::Choice, "natural science"));
    assert_eq!(items[1].answers, ["C", "z"]);
    let grey = |item: &Item| item.pictures[0].pixels().expect("a picture").rgb()[0];
    assert_eq!(items.iter().map(grey).collect::<Vec<_>>(), [10, 30, 10]);
    assert_eq!(items[0].pictures, items[2].pictures);
}
