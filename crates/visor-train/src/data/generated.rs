//! Questions of the generated suite as items.

use super::{Dataset, Item, ItemPicture, Need, Scorer};
use crate::error::TrainError;
use std::ops::Range;
use visor_processor::Picture;
use visor_tasks::{Family, Kind, Sample, Split, StandardMix, Suite};

/// A range of the standard mix of a suite.
///
/// # Errors
/// Of a suite without one of the mix's halves.
pub fn standard(suite: Suite, split: Split, range: Range<u64>) -> Result<Dataset, TrainError> {
    standard_without(suite, split, range, &[])
}

/// The same without some families.
///
/// # Errors
/// If a half of the mix would be empty.
pub fn standard_without(
    suite: Suite,
    split: Split,
    range: Range<u64>,
    without: &[Family],
) -> Result<Dataset, TrainError> {
    let mix = StandardMix::new(suite, without)?;
    let item = |index| item(&mix.sample(split, index), format!("{split}-{index}"));
    let items = range.clone().map(item).collect::<Result<_, _>>()?;
    let left_out: String = without.iter().map(|family| format!(" without {family}")).collect();
    let name = format!(
        "{} v{} standard mix, {split} {}..{}{left_out}",
        suite.name(),
        suite.version(),
        range.start,
        range.end
    );
    Ok(Dataset { name, items })
}

/// The same questions about pictures of one dark grey: what words alone tell.
pub fn blank(items: &[Item]) -> Vec<Item> {
    let blank = |item: &Item| {
        let pictures = item.pictures.iter().map(ItemPicture::blank).collect();
        Item { pictures, ..item.clone() }
    };
    items.iter().map(blank).collect()
}

fn item(sample: &Sample, id: String) -> Result<Item, TrainError> {
    let side = sample.picture.size as u32;
    let picture = Picture::from_rgb(side, side, sample.picture.rgb.clone())?;
    let question = &sample.questions[0];
    Ok(Item {
        id,
        pictures: vec![ItemPicture::Held(picture)],
        question: question.text.clone(),
        conversation: Vec::new(),
        answers: vec![question.answer.clone()],
        scorer: Scorer::Exact,
        family: question.family.to_string(),
        need: Some(match question.family.kind() {
            Kind::Refinement => Need::Refinement,
            _ => Need::OneLook,
        }),
        hops: question.difficulty.hops,
        objects: question.difficulty.objects,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use visor_tasks::SuiteName;

    #[test]
    fn a_dataset_is_named_by_what_it_holds_and_digested_by_all_of_it() {
        let suite = Suite::new(SuiteName::Nano);
        let data = standard(suite, Split::Test, 0..24).expect("a dataset");
        assert_eq!(data.name, "nano v1 standard mix, test 0..24");
        let hard = data.items.iter().filter(|item| item.need == Some(Need::Refinement)).count();
        assert_eq!(hard, 12);
        let again = standard(suite, Split::Test, 0..24).expect("a dataset");
        assert_eq!(data.digest(), again.digest());
        let items = blank(&data.items);
        assert_ne!(data.digest(), Dataset { items, ..data.clone() }.digest());
    }
}
