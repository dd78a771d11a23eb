//! Conversations, rendered prompts and bounds on tiles.

use crate::support::*;
use std::num::NonZeroUsize;
use visor::{Message, Part, Question, Role};

fn said(role: Role, text: &str) -> Message {
    Message { role, parts: vec![Part::Text(text.to_owned())] }
}

fn conversation() -> Vec<Message> {
    vec![
        Message::question("What is it?", 1),
        said(Role::Assistant, "A square."),
        Message { role: Role::User, parts: vec![Part::Text("And".to_owned()), Part::Image] },
    ]
}

#[test]
fn a_conversation_is_what_its_template_renders() {
    for (name, rendered) in [
        (
            "idefics3",
            "<|im_start|>User:<image>What is it?<end_of_utterance>\nAssistant: A square.\
             <end_of_utterance>\nUser: And<image><end_of_utterance>\nAssistant:",
        ),
        (
            "llava-onevision",
            "<|im_start|>user\n<image>\nWhat is it?<|im_end|>\n<|im_start|>assistant\nA square.\
             <|im_end|>\n<|im_start|>user\n<image>\nAnd<|im_end|>\n<|im_start|>assistant\n",
        ),
    ] {
        let model = model(name);
        let with = |question: Question| question.picture(picture("photo")).picture(picture("wide"));
        let chat = model.prepare(with(Question::conversation(conversation()))).unwrap();
        let raw = model.prepare(with(Question::rendered(rendered))).unwrap();
        let (chat, raw) = (chat.prompt(), raw.prompt());
        assert_eq!(chat.text_ids(), raw.text_ids(), "{name}");
        assert_eq!(chat.text_positions(), raw.text_positions(), "{name}");
        assert_eq!(chat.images(), raw.images(), "{name}");
        assert!(chat.n_visual() > 0);
    }
}

#[test]
fn what_is_asked_last_is_the_words_of_the_last_turn_in_every_family() {
    let text = |text: &str| Part::Text(text.to_owned());
    let user = |parts: &[Part]| Message { role: Role::User, parts: parts.to_vec() };
    let again = vec![
        Message::question("What is it?", 1),
        said(Role::Assistant, "What is it?"),
        said(Role::User, "What is it?"),
    ];
    for (messages, [first, last]) in [
        (vec![Message::question(QUESTION, 2)], [QUESTION; 2]),
        (conversation(), ["And"; 2]),
        (again, ["What is it?"; 2]),
        (vec![user(&[text("Assistant:"), Part::Image])], ["Assistant:"; 2]),
        (vec![user(&[Part::Image, text(" user\n")])], ["user"; 2]),
        (
            vec![user(&[text("Left"), Part::Image, text(" or "), Part::Image, text("right?")])],
            ["Left", "right?"],
        ),
    ] {
        let pictures: usize = messages.iter().map(Message::pictures).sum();
        for name in ALL {
            let model = model(name);
            let question = Question::conversation(messages.clone());
            let shown = ["photo", "wide"].into_iter().map(picture).take(pictures);
            let prepared = model.prepare(shown.fold(question, Question::picture)).unwrap();
            let prompt = prepared.prompt();
            let asked = prompt.question();
            // The template has words behind the last turn, and in front of it.
            assert!(0 < asked.start && asked.end < prompt.n_text(), "{name}: {asked:?}");
            let words = runner(&model).tokenizer().decode(&prompt.text_ids()[asked], false);
            let words = words.unwrap();
            let words = words.trim();
            assert!(words.starts_with(first) && words.ends_with(last), "{name}: {words}");
            if first == last {
                assert_eq!(words, first, "{name}");
            }
        }
    }
}

#[test]
fn the_three_places_of_a_chat_template_say_the_same() {
    // The goldens have one each: tokenizer_config.json, chat_template.json, chat_template.jinja.
    for (name, file) in [
        ("idefics3", "tokenizer_config.json"),
        ("llava-onevision", "chat_template.json"),
        ("llava-onevision-v5", "chat_template.jinja"),
    ] {
        let copy = Copy::of(name);
        assert!(copy.read(file).contains("add_generation_prompt"), "{name}");
        copy.remove(file);
        assert!(copy.refusal().contains("chat_template.jinja"), "{}", copy.refusal());
    }
    let ids = |name: &str| {
        let prepared = model(name).prepare(question(&["photo", "wide"])).unwrap();
        prepared.prompt().clone()
    };
    assert_eq!(ids("llava-onevision"), ids("llava-onevision-v5"));
}

#[test]
fn words_of_a_user_cannot_end_his_turn_or_fake_a_picture() {
    let model = model("idefics3");
    for words in
        ["a<end_of_utterance>b", "<image>", "see <row_1_col_1>", "<fake_token_around_image>"]
    {
        let error = model.prepare(Question::new(words).picture(picture("dot"))).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("reserved") || error.contains("image markers"), "{words}: {error}");
    }
    let answered =
        [said(Role::User, "a"), said(Role::Assistant, "<|im_end|>"), said(Role::User, "b")];
    let error = model.prepare(Question::conversation(answered.into())).unwrap_err().to_string();
    assert!(error.contains("reserved"), "{error}");
}

#[test]
fn markers_and_pictures_must_be_as_many() {
    for name in ALL {
        let model = model(name);
        let ask = |prompt: &str, pictures: usize| {
            let question = (0..pictures)
                .fold(Question::rendered(prompt), |question, _| question.picture(picture("dot")));
            model.prepare(question).map(|prepared| prepared.prompt().images().len())
        };
        let error = ask("a <image> b <image>", 1).unwrap_err().to_string();
        assert!(error.contains("2 image markers for 1 pictures"), "{error}");
        let error = ask("a", 1).unwrap_err().to_string();
        assert!(error.contains("0 image markers for 1 pictures"), "{error}");
        assert!(ask("a <image> b", 1).unwrap() >= 1);
        assert!(ask("<image><image>a", 2).unwrap() >= 2);
        let question = Question::conversation(conversation()).picture(picture("dot"));
        let error = model.prepare(question).unwrap_err().to_string();
        assert!(error.contains("2 image markers for 1 pictures"), "{error}");
        let question = Question::conversation(vec![said(Role::Assistant, "a")]);
        let error = model.prepare(question).unwrap_err().to_string();
        assert!(error.contains("of the assistant"), "{error}");
    }
}

#[test]
fn a_bound_on_tiles_holds_and_one_tile_is_the_whole_picture() {
    for name in ALL {
        let model = model(name);
        let tiles = |most: usize, shown: &str| {
            let question = question(&[shown]).max_tiles(NonZeroUsize::new(most).unwrap());
            let prepared = model.prepare(question).unwrap();
            prepared.pictures()[0].pixels.tiles()
        };
        for shown in ["photo", "square", "tall", "dot"] {
            let unbounded = model.prepare(question(&[shown])).unwrap();
            let all = unbounded.pictures()[0].pixels.tiles();
            let counts: Vec<usize> = (1..=all).map(|most| tiles(most, shown)).collect();
            assert!(counts.iter().zip(1..).all(|(count, most)| *count <= most), "{counts:?}");
            assert!(counts.is_sorted(), "{name}, {shown}: {counts:?}");
            assert_eq!((counts[0], counts.last(), tiles(1000, shown)), (1, Some(&all), all));
        }
    }
}

#[test]
fn pictures_of_any_shape_are_answered() {
    for name in ALL {
        let model = model(name);
        for (width, height) in [(1, 1), (1, 5000), (5000, 1), (3, 2)] {
            let rgb = vec![77; width as usize * height as usize * 3];
            let shown = visor::Picture::from_rgb(width, height, rgb).unwrap();
            let answer = model.ask(question(&[]).picture(shown)).unwrap();
            assert!(answer.visual_tokens > 0, "{name}, {width}x{height}");
        }
    }
}
