//! What is measured, and the ids of views and measures inside a definition.

use crate::rollup::model::language::{MeasureExpression, MeasureKind, SyntaxError};

/// A number, or a map of numbers, that a view item has about its source items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// The attribute of the view item: a number, or a map from group to number.
    pub attribute: String,
    /// What one source item adds.
    pub expression: MeasureExpression,
}

impl Measure {
    /// Reads a measure, such as `count by Category`.
    ///
    /// # Errors
    /// When the text is not a measure.
    pub fn parse(attribute: impl Into<String>, words: &str) -> Result<Self, SyntaxError> {
        Ok(Self { attribute: attribute.into(), expression: MeasureExpression::parse(words)? })
    }

    /// Whether the measure is a map from group to number, and not one number.
    #[must_use]
    pub fn is_grouped(&self) -> bool {
        self.expression.is_grouped()
    }

    /// Whether it counts items or elements, so that none of its counters may be below zero; a sum may.
    #[must_use]
    pub fn is_count(&self) -> bool {
        matches!(self.expression.kind, MeasureKind::Count)
    }
}

/// A view, by its index in the definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ViewId(pub usize);

/// A measure, by its index in the measures of its view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MeasureId {
    pub view: ViewId,
    /// The index in [`View::measures`](crate::rollup::model::view::View::measures).
    pub place: usize,
}

impl MeasureId {
    /// A measure of the first view, by its index.
    #[must_use]
    pub const fn first_view(place: usize) -> Self {
        Self { view: ViewId(0), place }
    }
}

/// Some of the views of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ViewSet(u32);

const _: () = assert!(crate::rollup::model::limits::VIEWS <= u32::BITS as usize, "a view is a bit");

impl ViewSet {
    /// Adds a view.
    pub fn insert(&mut self, view: ViewId) {
        self.0 |= 1 << view.0;
    }

    /// Adds the views of another set.
    pub fn extend(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// The views that are in both sets.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a view is one of them.
    #[must_use]
    pub fn contains(self, view: ViewId) -> bool {
        self.0 & 1 << view.0 != 0
    }

    /// The views, in the order of the definition.
    pub fn iter(self) -> impl Iterator<Item = ViewId> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let first = (left != 0).then(|| ViewId(left.trailing_zeros() as usize));
            left &= left.wrapping_sub(1);
            first
        })
    }
}

impl FromIterator<ViewId> for ViewSet {
    fn from_iter<I: IntoIterator<Item = ViewId>>(views: I) -> Self {
        let mut set = Self::default();
        views.into_iter().for_each(|view| set.insert(view));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_views_that_are_put_into_it() {
        let set: ViewSet = [ViewId(3), ViewId(0), ViewId(19), ViewId(3)].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [ViewId(0), ViewId(3), ViewId(19)]);
        assert!(set.contains(ViewId(19)) && !set.contains(ViewId(1)));
        assert_eq!(ViewSet::default().iter().count(), 0);
    }
}
