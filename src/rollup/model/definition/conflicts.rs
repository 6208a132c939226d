//! Views that cannot be kept together.

use std::collections::HashSet;

use crate::rollup::model::definition::self_feeding::may_be_counted;
use crate::rollup::model::limits;
use crate::rollup::model::view::{OnMissingViewItem, View};

/// Why views cannot be kept together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// There is none, or too many.
    #[error("the definition has {0} views; it must have 1 to {most}", most = limits::VIEWS)]
    Views(usize),
    /// Two have one name.
    #[error("two views have the name {0:?}; give each a name of its own")]
    Name(String),
    /// Two views of one table do not agree on the table's key.
    #[error(
        "the views {0:?} and {1:?} are kept in one table, but name other key attributes, or other types or another order of them; \
         a table has one key"
    )]
    Key(String, String),
    /// Two views could write one attribute of one item.
    #[error(
        "the views {first:?} and {second:?} could both write the attribute {attribute:?} of one item of their table; give it \
         another name in one of them, or begin their keys with texts that differ"
    )]
    Attribute {
        /// One view.
        first: String,
        /// The other one.
        second: String,
        /// The attribute that both write.
        attribute: String,
    },
    /// Two views could share an item and would treat it differently where it is missing.
    #[error(
        "the views {0:?} and {1:?} could share an item of their table, but one creates missing items and the other one skips \
         them; give both the same on_missing"
    )]
    OnMissing(String, String),
    /// Views could share an item that then has more counters than an update can hold.
    #[error(
        "{measures} measures could be kept on one item by the views {views}; at most {most} fit into one update of a view \
         item: begin the keys of some of the views with another text",
        most = limits::IMAGE_COUNTERS
    )]
    TooManyMeasures {
        /// How many.
        measures: usize,
        /// The views that share the item, by their names.
        views: String,
    },
    /// Views could share an item of which more attributes are set than an update can hold.
    #[error(
        "{attributes} attributes could be set on one item by the views {views}; at most {most} fit into one update of a view item",
        most = limits::ITEM_SET_ATTRIBUTES
    )]
    TooManySetAttributes {
        /// How many.
        attributes: usize,
        /// The views that share the item, by their names.
        views: String,
    },
    /// A view reads what a view writes on the same table.
    #[error(
        "the view {reader:?} reads the attribute {attribute:?}, which the view {writer:?} writes on items of the same table; \
         give the measure another name"
    )]
    ReadsWritten {
        /// Who reads it.
        reader: String,
        /// Who writes it.
        writer: String,
        /// The attribute.
        attribute: String,
    },
    /// A view would count items that a view creates.
    #[error(
        "the view {reader:?} could count the items that the view {writer:?} creates in the source table; add a condition that is \
         false for them, such as begins_with on a key attribute, or set on_missing to skip"
    )]
    CountsCreated {
        /// Who would count them.
        reader: String,
        /// Who creates them.
        writer: String,
    },
}

/// Checks that views can be kept together.
pub(super) fn check(views: &[View]) -> Result<(), Conflict> {
    if !(1..=limits::VIEWS).contains(&views.len()) {
        return Err(Conflict::Views(views.len()));
    }
    let mut names = HashSet::new();
    if let Some(view) = views.iter().find(|view| !names.insert(view.name())) {
        return Err(Conflict::Name(view.name().to_owned()));
    }
    for (place, first) in views.iter().enumerate() {
        let of_table = views[place + 1..].iter().filter(|second| second.table == first.table);
        of_table.map(|second| pair(first, second)).collect::<Result<(), _>>()?;
    }
    views.iter().map(|view| room_on_items(view, views)).collect::<Result<(), _>>()?;
    let writers = views.iter().filter(|view| view.is_on_its_source());
    writers.map(|writer| feeds_none(writer, views)).collect()
}

fn pair(first: &View, second: &View) -> Result<(), Conflict> {
    let names = || (first.name().to_owned(), second.name().to_owned());
    let key =
        |view: &View| view.key().iter().map(|part| (part.view_attribute.clone(), part.key_type)).collect::<Vec<_>>();
    if key(first) != key(second) {
        let (first, second) = names();
        return Err(Conflict::Key(first, second));
    }
    if !may_share(first, second) {
        return Ok(());
    }
    if let Some(attribute) = first.defined_attributes().find(|one| second.defined_attributes().any(|two| *one == two)) {
        let ((first, second), attribute) = (names(), attribute.to_owned());
        return Err(Conflict::Attribute { first, second, attribute });
    }
    if first.on_missing() != second.on_missing() {
        let (first, second) = names();
        return Err(Conflict::OnMissing(first, second));
    }
    Ok(())
}

/// Whether two views of one table may have an item in common: not if their keys begin differently in one attribute.
fn may_share(first: &View, second: &View) -> bool {
    first.key().iter().zip(second.key()).all(|(one, two)| {
        let (one, two) = (one.value.literal_prefix(), two.value.literal_prefix());
        one.starts_with(two) || two.starts_with(one)
    })
}

/// An item whose key begins with the texts of a view's key, in one attribute or the other, may be one of all views whose
/// texts begin those: no item is shared by more views than that.
fn room_on_items(view: &View, views: &[View]) -> Result<(), Conflict> {
    let of_table: Vec<&View> = views.iter().filter(|other| other.table == view.table).collect();
    let begins = |part: usize, text: &str, other: &View| {
        other.key().get(part).is_none_or(|other| text.starts_with(other.value.literal_prefix()))
    };
    let beginning = |view: &View, part: usize| {
        view.key().get(part).map(|part| part.value.literal_prefix().to_owned()).unwrap_or_default()
    };
    let partition = beginning(view, 0);
    for sort in of_table.iter().map(|other| beginning(other, 1)) {
        let sharing: Vec<&&View> =
            of_table.iter().filter(|other| begins(0, &partition, other) && begins(1, &sort, other)).collect();
        let measures = sharing.iter().map(|view| view.measures().len()).sum();
        let attributes = sharing.iter().map(|view| view.set().len()).sum();
        let names = || sharing.iter().map(|view| view.name()).collect::<Vec<_>>().join(", ");
        if measures > limits::IMAGE_COUNTERS {
            return Err(Conflict::TooManyMeasures { measures, views: names() });
        }
        if attributes > limits::ITEM_SET_ATTRIBUTES {
            return Err(Conflict::TooManySetAttributes { attributes, views: names() });
        }
    }
    Ok(())
}

/// What a view writes into the source table comes back in the stream: it must change nothing.
fn feeds_none(writer: &View, views: &[View]) -> Result<(), Conflict> {
    for reader in views {
        let reads = reader.reads();
        let names = || (reader.name().to_owned(), writer.name().to_owned());
        if let Some(attribute) = writer.writes().find(|attribute| reads.contains(attribute)) {
            let ((reader, writer), attribute) = (names(), attribute.to_owned());
            return Err(Conflict::ReadsWritten { reader, writer, attribute });
        }
        if writer.on_missing() == OnMissingViewItem::Create && may_be_counted(writer, reader) {
            let (reader, writer) = names();
            return Err(Conflict::CountsCreated { reader, writer });
        }
    }
    Ok(())
}
