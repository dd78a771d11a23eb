//! Which file counts where several say the same thing: the one that counts for `transformers` 5.23.

use crate::support::*;
use visor::{Error, Remark};

#[test]
fn a_section_for_pictures_counts_and_an_older_file_beside_it_does_not() {
    let copy = Copy::of("llava-onevision-v5");
    let expected = runner(&copy.load().unwrap()).image_processor().clone();
    let old = std::fs::read_to_string(golden("llava-onevision").join("preprocessor_config.json"));
    let stale = old.unwrap().replace("\"resample\": 3", "\"resample\": 1").replace("0.5", "0.25");
    copy.write("preprocessor_config.json", &stale);
    assert_eq!(*runner(&copy.load().unwrap()).image_processor(), expected);
    // Where there is no section, it is the file that counts.
    for processor in ["{}", r#"{"image_processor": null}"#] {
        copy.write("processor_config.json", processor);
        assert_ne!(*runner(&copy.load().unwrap()).image_processor(), expected, "{processor}");
    }
}

/// What is asked with this template is its one word.
fn template(word: &str) -> String {
    format!("{{# {word} #}}{{% for m in messages %}}{word}{{% endfor %}}")
}

/// The word of the template that is used.
fn asked(copy: &Copy) -> String {
    let model = copy.load().unwrap();
    let prompt = model.prepare(question(&[])).unwrap().prompt().clone();
    runner(&model).tokenizer().decode(prompt.text_ids(), false).unwrap()
}

#[test]
fn of_several_chat_templates_the_first_of_the_processor_is_used_and_another_is_said() {
    let field = |word: &str| serde_json::json!({ "chat_template": template(word) }).to_string();
    let copy = Copy::of("idefics3");
    let remarks = |copy: &Copy| copy.load().unwrap().remarks().to_vec();
    // The golden has the tokenizer's alone, which is for text and nothing to speak of.
    assert_eq!(remarks(&copy), []);
    copy.write("chat_template.jinja", template("red"));
    assert_eq!((asked(&copy), remarks(&copy)), ("red".to_owned(), vec![]));
    copy.write("chat_template.json", field("blue"));
    let json =
        Remark::ChatTemplates { used: "chat_template.json", left: vec!["chat_template.jinja"] };
    assert_eq!((asked(&copy), remarks(&copy)), ("blue".to_owned(), vec![json]));
    copy.write("processor_config.json", field("dot"));
    let left = vec!["chat_template.json", "chat_template.jinja"];
    let processor = Remark::ChatTemplates { used: "processor_config.json", left };
    assert!(processor.to_string().contains("`chat_template.json`, `chat_template.jinja`"));
    assert_eq!((asked(&copy), remarks(&copy)), ("dot".to_owned(), vec![processor]));
    // The same text with other ends of lines is no other template.
    copy.write("chat_template.json", field("dot"));
    copy.write("chat_template.jinja", template("dot") + "\r\n");
    assert_eq!(remarks(&copy), []);
}

#[test]
fn a_picture_may_have_another_mark() {
    let expected = model("llava-onevision").ask(question(&["photo"])).unwrap().token_ids;
    let copy = Copy::of("llava-onevision");
    for file in ["tokenizer.json", "tokenizer_config.json", "chat_template.json"] {
        copy.write(file, copy.read(file).replace("<image>", "<img>"));
    }
    let processor = copy.read("processor_config.json");
    copy.write("processor_config.json", processor.replace("\"<image>\"", "\"<img>\""));
    let answer = copy.load().unwrap().ask(question(&["photo"])).unwrap();
    assert_eq!(answer.token_ids, expected);
    // Where no file says so, the tokenizer has no mark.
    let unnamed = copy.read("processor_config.json").replace("image_token\"", "image_tokens\"");
    copy.write("processor_config.json", unnamed);
    assert!(copy.refusal().contains("reads `<image>` as"), "{}", copy.refusal());
}

#[test]
fn templates_without_a_default_are_refused_by_their_names() {
    let copy = Copy::of("llava-onevision");
    let named = serde_json::json!({ "chat_template": { "rag": "a", "tool_use": "b" } });
    copy.write("chat_template.json", named.to_string());
    let error = copy.load().expect_err("no default");
    assert!(matches!(error, Error::NamedTemplates { file: "chat_template.json", .. }), "{error}");
    assert!(error.to_string().contains("rag, tool_use"), "{error}");
}
