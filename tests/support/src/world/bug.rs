//! The bugs that can be put in, and the rule that each breaks.

use std::time::Duration;

use ddb_rollup::rollup::model::view::OnMissingViewItem;

use super::{Rule, Wanted};

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The marker is put whether there is one or not.
    NoMarkerCondition,
    /// Each attempt has a token of its own, and the marker is put whether there is one or not.
    FreshTokenAndNoMarkerCondition,
    /// Each attempt has a token of its own.
    FreshToken,
    /// Every transaction of an instance has the same token.
    OneToken,
    /// A transaction that was cancelled for any reason was done before.
    DuplicateFromAnyCancellation,
    /// Records whose sums come to zero are not worth a write.
    MarkerDroppedWithZeroSum,
    /// The response never reports a failure.
    AcknowledgedPastFailure,
    /// Of the records that failed, the response reports the first by the text of its number.
    TextOrder,
    /// A request without an answer was carried out.
    LostAnswerTakenAsDone,
    /// The counters in one transaction, the markers in the next.
    MarkerInSeparateTransaction,
    /// A change adds to the new group and leaves the old one as it was.
    OldGroupForgotten,
    /// A sequence number is taken to be known whatever its stream.
    OtherStreamTakenAsDuplicate,
    /// The function believes that it has ten times the time.
    DeadlineIgnored,
    /// Quarantine keeps everything but the record.
    QuarantineWithoutRecord,
    /// Quarantined records expire as applied ones do.
    QuarantineExpires,
    /// The function itself ends a quarantine.
    QuarantineEndedByFunction,
    /// Records for quarantine are dropped.
    PoisonDropped,
    /// Maps are created whether they are there or not.
    FirstTouchOverwrites,
    /// The version of a view item is not raised.
    VersionNotRaised,
    /// A record is applied however old it is.
    RetentionIgnored,
    /// A marker is kept for an hour.
    MarkerKeptTooShort,
    /// The marker does not tell what the record did.
    LedgerEmpty,
    /// A transaction that is not answered at once is sent a second time beside the first, under the same token.
    HedgedRequests,
    /// The function believes that it may have one more transaction on its way.
    MoreInFlight,
    /// The response reports every record that failed.
    EveryFailureReported,
    /// The response tells the place of the first record that failed, and not its number.
    ReportedByPosition,
    /// The response reports the first record, whatever became of it.
    FirstAlwaysReported,
    /// A view item that is not there is created even where it is to be passed over.
    MissingViewItemCreated,
    /// Not of the function: the database forgets some writes of view items, and keeps the markers.
    ViewItemWriteLost,
    /// Not of the function: a group vanishes from a view item.
    GroupLost,
    /// An item that enters a view or leaves it is taken to have been there, or not, all the time.
    CrossingMissed,
    /// A view is left out: of what is written, and of what the markers say.
    ViewForgotten,
    /// A view is left out of what is written, and the markers tell of all views.
    HalfADefinition,
    /// Views that share a view item have an action each.
    SharedItemNotMerged,
    /// An element of a set is counted twice.
    ElementCountedTwice,
    /// The new image's group is taken from the old image.
    GroupFromOldImage,
    /// An image that a view cannot count takes the record's other image with it.
    BadImageTakesTheOther,
    /// View items with one key in two tables are taken for one.
    TablesMixedUp,
    /// The markers name another definition than the one that is applied.
    FingerprintOfAnother,
    /// A record whose marker was looked up and not found is taken to have none.
    NotFoundTakenAsNew,
    /// A marker that was looked up is not compared with the record: any event of its number is taken for it.
    FoundMarkerNotCompared,
    /// A transaction that is throttled is sent again as it is, however often.
    ThrottledNeverHalved,
}

impl Bug {
    pub const ALL: [Self; 42] = [
        Self::NoMarkerCondition,
        Self::FreshTokenAndNoMarkerCondition,
        Self::FreshToken,
        Self::OneToken,
        Self::DuplicateFromAnyCancellation,
        Self::MarkerDroppedWithZeroSum,
        Self::AcknowledgedPastFailure,
        Self::TextOrder,
        Self::LostAnswerTakenAsDone,
        Self::MarkerInSeparateTransaction,
        Self::OldGroupForgotten,
        Self::OtherStreamTakenAsDuplicate,
        Self::DeadlineIgnored,
        Self::QuarantineWithoutRecord,
        Self::QuarantineExpires,
        Self::QuarantineEndedByFunction,
        Self::PoisonDropped,
        Self::FirstTouchOverwrites,
        Self::VersionNotRaised,
        Self::RetentionIgnored,
        Self::MarkerKeptTooShort,
        Self::LedgerEmpty,
        Self::HedgedRequests,
        Self::MoreInFlight,
        Self::EveryFailureReported,
        Self::ReportedByPosition,
        Self::FirstAlwaysReported,
        Self::MissingViewItemCreated,
        Self::ViewItemWriteLost,
        Self::GroupLost,
        Self::CrossingMissed,
        Self::ViewForgotten,
        Self::HalfADefinition,
        Self::SharedItemNotMerged,
        Self::ElementCountedTwice,
        Self::GroupFromOldImage,
        Self::BadImageTakesTheOther,
        Self::TablesMixedUp,
        Self::FingerprintOfAnother,
        Self::NotFoundTakenAsNew,
        Self::FoundMarkerNotCompared,
        Self::ThrottledNeverHalved,
    ];

    /// The rule that it breaks before all others.
    pub fn breaks(self) -> Rule {
        match self {
            Self::MarkerInSeparateTransaction
            | Self::OldGroupForgotten
            | Self::FirstTouchOverwrites
            | Self::LedgerEmpty
            | Self::ViewForgotten
            | Self::HalfADefinition
            | Self::ElementCountedTwice
            | Self::TablesMixedUp
            | Self::FingerprintOfAnother => Rule::Xo1,
            Self::NoMarkerCondition
            | Self::FreshTokenAndNoMarkerCondition
            | Self::RetentionIgnored
            | Self::MarkerKeptTooShort
            | Self::NotFoundTakenAsNew => Rule::Xo2,
            Self::DuplicateFromAnyCancellation
            | Self::MarkerDroppedWithZeroSum
            | Self::AcknowledgedPastFailure
            | Self::TextOrder
            | Self::LostAnswerTakenAsDone
            | Self::OtherStreamTakenAsDuplicate
            | Self::FoundMarkerNotCompared
            | Self::PoisonDropped
            | Self::CrossingMissed
            | Self::GroupFromOldImage
            | Self::BadImageTakesTheOther => Rule::Xo3,
            Self::ViewItemWriteLost => Rule::Xo4,
            Self::GroupLost => Rule::Xo5,
            Self::QuarantineWithoutRecord
            | Self::QuarantineExpires
            | Self::QuarantineEndedByFunction
            | Self::SharedItemNotMerged => Rule::Xo6,
            Self::FreshToken | Self::OneToken => Rule::Token,
            Self::DeadlineIgnored => Rule::Deadline,
            Self::VersionNotRaised => Rule::Version,
            Self::HedgedRequests => Rule::SideBySide,
            Self::MoreInFlight => Rule::InFlight,
            Self::EveryFailureReported | Self::ReportedByPosition => Rule::Response,
            Self::FirstAlwaysReported | Self::ThrottledNeverHalved => Rule::Progress,
            Self::MissingViewItemCreated => Rule::Missing,
        }
    }

    /// A run with this bug.
    pub fn wanted(self) -> Wanted {
        // Looked at, the tokens would be found before what comes of them.
        let tokens_ignored = self == Self::FreshTokenAndNoMarkerCondition;
        Wanted { bug: Some(self), tokens_ignored, verbose: false }
    }

    /// How long a function with this bug believes it has.
    pub fn time_left(bug: Option<Self>, time_left: Duration) -> Duration {
        if bug == Some(Self::DeadlineIgnored) { 10 * time_left } else { time_left }
    }

    /// How many transactions a function with this bug believes that it may have on their way.
    pub fn max_in_flight(bug: Option<Self>, max_in_flight: usize) -> usize {
        max_in_flight + usize::from(bug == Some(Self::MoreInFlight))
    }

    /// What a function with this bug does about a view item that is not there.
    pub fn on_missing(bug: Option<Self>, on_missing: OnMissingViewItem) -> OnMissingViewItem {
        if bug == Some(Self::MissingViewItemCreated) { OnMissingViewItem::Create } else { on_missing }
    }

    /// For how many days a function with this bug believes that markers are kept.
    pub fn retention_days(bug: Option<Self>, days: u32) -> u32 {
        if bug == Some(Self::RetentionIgnored) { 3_650 } else { days }
    }
}
