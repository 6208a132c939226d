//! What one image adds to which view items. The function, the audit, the repair and `view try` all use this one
//! function.

use std::collections::{BTreeMap, BTreeSet};

use crate::rollup::Item;
use crate::rollup::model::change::{Amounts, Counter, UncountableImage};
use crate::rollup::model::definition::Definition;
use crate::rollup::model::language::UncountableAmount;
use crate::rollup::model::limits;
use crate::rollup::model::measure::{MeasureId, ViewId, ViewSet};
use crate::rollup::model::number::Number;
use crate::rollup::model::poison::{Image, Reason};
use crate::rollup::model::set_attribute::SetTexts;
use crate::rollup::model::view::{KeyError, MissingKey, View, ViewKey};

/// What one image adds, and to which view items.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Contribution {
    /// What it adds to the items of each view that it is in and that can count it.
    pub parts: Vec<ViewContribution>,
    /// How many values could not name a group of a measure.
    pub ungrouped: usize,
    /// The views that the image is in but that cannot count it, with the reason.
    pub uncountable: Vec<(ViewId, Uncountable)>,
}

/// What one image adds to the items of one view.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ViewContribution {
    /// The view.
    pub view: ViewId,
    /// Its items, each once, with the texts that are set there.
    pub items: Vec<(ViewKey, SetTexts)>,
    /// What the image adds to which counter of each of them, zeros included.
    pub amounts: Amounts,
    /// How many values could not name a group of a measure.
    ungrouped: usize,
}

/// What one image adds to one view item.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ItemContribution {
    /// The views that it counts for.
    pub views: ViewSet,
    /// What it adds to each counter, zeros included.
    pub amounts: BTreeMap<Counter, Number>,
    /// The texts that are set there.
    pub texts: SetTexts,
}

impl Contribution {
    /// The view items that the image adds to, each once.
    #[must_use]
    pub fn items(&self) -> BTreeSet<&ViewKey> {
        self.parts.iter().flat_map(|part| &part.items).map(|(item, _)| item).collect()
    }

    /// What the image adds to one view item, for all views together; `None` if it adds nothing there.
    #[must_use]
    pub fn of(&self, item: &ViewKey) -> Option<ItemContribution> {
        let mut found: Option<ItemContribution> = None;
        for part in &self.parts {
            let Some((_, texts)) = part.items.iter().find(|(of_part, _)| of_part == item) else { continue };
            let found = found.get_or_insert_default();
            found.views.insert(part.view);
            found.amounts.extend(part.amounts.iter().map(|(counter, amount)| (counter.clone(), amount.clone())));
            found.texts.extend(texts.iter().map(|(attribute, text)| (attribute.clone(), text.clone())));
        }
        found
    }

    /// What it adds to each view item.
    #[must_use]
    pub fn by_item(&self) -> Vec<(&ViewKey, ItemContribution)> {
        self.items().into_iter().map(|item| (item, self.of(item).unwrap_or_default())).collect()
    }

    /// The views that cannot count it, as a marker of a record with this image stores them.
    pub fn uncountable_as(&self, image: Image) -> impl Iterator<Item = UncountableImage> {
        let told =
            move |(view, why): &(ViewId, Uncountable)| UncountableImage { view: *view, image, reason: why.to_string() };
        self.uncountable.iter().map(told)
    }
}

/// Why an image that is in a view contributes nothing to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Uncountable {
    /// Its view item is unknown, or a text to set there is not valid.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It has an amount that is out of bounds.
    #[error("the measure {attribute:?}: {error}")]
    Amount {
        /// The measure's attribute.
        attribute: String,
        /// What the bounds are.
        error: UncountableAmount,
    },
    /// It would add to too many counters, view items or bytes, for all views together.
    #[error(
        "it adds to {} counters of one view item, and to {} view items in {} bytes; at most {} counters, {} view items and {} bytes can be kept",
        .0.counters,
        .0.items,
        .0.bytes,
        limits::IMAGE_COUNTERS,
        limits::IMAGE_VIEW_ITEMS,
        limits::IMAGE_BYTES
    )]
    TooLarge(Extent),
}

/// How many counters, view items and bytes an image adds to, for all views together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// The most counters of one view item.
    pub counters: usize,
    /// View items.
    pub items: usize,
    /// Bytes of the keys, measures and groups.
    pub bytes: usize,
}

/// What a source item contributes to the views, as one of its images shows it.
///
/// # Errors
/// When the definition sends a record to quarantine because its image does not show its view item.
pub fn contribution(definition: &Definition, image: Image, item: &Item) -> Result<Contribution, Reason> {
    let mut contribution = Contribution::default();
    for (id, view) in definition.ids().filter(|(_, view)| view.selects(item)) {
        match of_view(id, view, item) {
            Ok(part) if part.items.is_empty() => {}
            Ok(part) => contribution.parts.push(part),
            Err(Refused::Record(error)) => return Err(Reason::Key { image, error }),
            Err(Refused::Image(why)) => contribution.uncountable.push((id, why)),
        }
    }
    contribution.keep_what_fits(definition, |view| definition[view].has_each());
    contribution.keep_what_fits(definition, |_| true);
    contribution.ungrouped = contribution.parts.iter().map(|part| part.ungrouped).sum();
    Ok(contribution)
}

/// Why a view gets nothing from an image that its condition selects.
enum Refused {
    /// The definition sends the record to quarantine.
    Record(KeyError),
    Image(Uncountable),
}

fn of_view(id: ViewId, view: &View, item: &Item) -> Result<ViewContribution, Refused> {
    let items = view.items_of(item).map_err(|(missing, error)| match missing {
        MissingKey::Quarantine => Refused::Record(error),
        MissingKey::Sparse => Refused::Image(error.into()),
    })?;
    let mut part = ViewContribution { view: id, items, ..ViewContribution::default() };
    if part.items.is_empty() {
        return Ok(part);
    }
    for (place, measure) in view.measures().iter().enumerate() {
        let amounts = measure
            .expression
            .of(item)
            .map_err(|error| Refused::Image(Uncountable::Amount { attribute: measure.attribute.clone(), error }))?;
        part.ungrouped += amounts.ungrouped;
        let id = MeasureId { view: id, place };
        part.amounts
            .extend(amounts.amounts.into_iter().map(|(group, amount)| (Counter { measure: id, group }, amount)));
    }
    Ok(part)
}

impl Contribution {
    /// Removes the views of a kind, if a transaction could not hold what the image adds to, together with what a second
    /// image adds to.
    fn keep_what_fits(&mut self, definition: &Definition, of_kind: impl Fn(ViewId) -> bool) {
        if self.at_most(definition).fits() {
            return;
        }
        let extent = self.extent(definition);
        if !extent.fits() {
            let out = self.parts.extract_if(.., |part| of_kind(part.view));
            self.uncountable.extend(out.map(|part| (part.view, Uncountable::TooLarge(extent))));
            self.uncountable.sort_by_key(|(view, _)| *view);
        }
    }

    /// An upper bound: what the image adds to if no two views share a view item. Nearly every image fits even so.
    fn at_most(&self, definition: &Definition) -> Extent {
        let mut extent = Extent::default();
        for part in &self.parts {
            extent.counters += part.amounts.len();
            extent.items += part.items.len();
            extent.bytes += part.bytes(definition);
        }
        extent
    }

    fn extent(&self, definition: &Definition) -> Extent {
        let mut counters: BTreeMap<&ViewKey, usize> = BTreeMap::new();
        for part in &self.parts {
            for (item, _) in &part.items {
                *counters.entry(item).or_default() += part.amounts.len();
            }
        }
        let bytes = self.parts.iter().map(|part| part.bytes(definition)).sum();
        Extent { counters: counters.values().copied().max().unwrap_or_default(), items: counters.len(), bytes }
    }
}

impl ViewContribution {
    /// Bytes of the keys, measures and groups.
    fn bytes(&self, definition: &Definition) -> usize {
        let of_counter = |counter: &Counter| {
            definition[counter.measure].attribute.len() + counter.group.as_ref().map_or(0, String::len)
        };
        let of_each = self.amounts.keys().map(of_counter).sum::<usize>();
        self.items.iter().map(|(item, _)| item.bytes() + of_each).sum()
    }
}

impl Extent {
    /// Whether a transaction has room for it together with a second image.
    fn fits(self) -> bool {
        self.counters <= limits::IMAGE_COUNTERS
            && self.items <= limits::IMAGE_VIEW_ITEMS
            && self.bytes <= limits::IMAGE_BYTES
    }
}
