//! The texts of `--help`, word for word: whoever changes an option sees what users will see.

use crate::common::visor;

#[test]
fn help_says_what_there_is() {
    for (name, args) in [
        ("visor", vec!["--help"]),
        ("analyze", vec!["analyze", "--help"]),
        ("ask", vec!["ask", "--help"]),
        ("inspect", vec!["inspect", "--help"]),
        ("verify", vec!["verify", "--help"]),
        ("convert", vec!["convert", "--help"]),
        ("download", vec!["download", "--help"]),
        ("models", vec!["models", "--help"]),
        ("serve", vec!["serve", "--help"]),
        ("devices", vec!["devices", "--help"]),
        ("tasks_generate", vec!["tasks", "generate", "--help"]),
        ("tasks_show", vec!["tasks", "show", "--help"]),
        ("train_universal", vec!["train", "universal", "--help"]),
    ] {
        insta::assert_snapshot!(name, visor(args).answer());
    }
}
