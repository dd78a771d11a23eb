//! Pictures that are kept between questions.

use crate::support::*;
use visor::{
    Cancel, Error, LoadOptions, Model, PictureInput, PictureLimits, Question, RunError, Setting,
    fixture,
};

fn load(folder: &Folder, options: &LoadOptions) -> Model {
    Model::load(&folder.model_ref(), options).unwrap()
}

#[test]
fn a_model_with_a_cache_answers_the_second_question_without_encoding() {
    let folder = Folder::universal();
    let model = load(&folder, &LoadOptions::default().picture_cache(1 << 20));
    let file = png(&folder.path(), 1);
    let ask = || model.ask(Question::new(fixture::QUESTION).picture_file(&file)).unwrap();
    let (first, second) = (ask(), ask());
    assert_eq!((first.pictures.cached, second.pictures.cached), (0, 1));
    assert_eq!(first.token_ids, second.token_ids);
    assert!(second.cost.spent < first.cost.spent);
    assert_eq!(model.picture_cache().unwrap().hits, 1);
}

#[test]
fn a_prepared_image_serves_any_number_of_questions_to_its_own_model() {
    let folder = Folder::universal();
    let (model, other) = (folder.load().unwrap(), folder.load().unwrap());
    let input = PictureInput::Decoded(picture(1));
    let image = model.prepare_image(&input, Setting::default(), &Cancel::new()).unwrap();
    let held = || Question::new(fixture::QUESTION).prepared_image(image.clone());
    let answer = model.ask(held()).unwrap();
    assert_eq!(answer.pictures.cached, 1);
    let plain = Question::new(fixture::QUESTION).picture(picture(1));
    assert_eq!(answer.token_ids, model.ask(plain).unwrap().token_ids);
    let error = other.ask(held()).unwrap_err();
    assert!(matches!(error, Error::Run(RunError::ForeignImage { .. })), "{error}");
}

#[test]
fn pictures_are_held_to_the_limits_of_the_model_that_was_loaded() {
    let folder = Folder::universal();
    let file = png(&folder.path(), 1);
    let limits = PictureLimits { max_side: 19, ..PictureLimits::default() };
    let model = load(&folder, &LoadOptions::default().picture_limits(limits));
    let error = model.ask(Question::new(fixture::QUESTION).picture_file(&file)).unwrap_err();
    assert!(matches!(error, Error::Picture { .. }), "{error}");
}
