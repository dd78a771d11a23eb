//! Which file counts where several say the same thing: the one that counts for `transformers` 5.23.

use crate::support::*;

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
