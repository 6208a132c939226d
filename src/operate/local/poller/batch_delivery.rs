//! Decides what happens to one batch: which records are delivered next, and what a response means. The decision is
//! pure.
//!
//! A batch is processed from its front, as Lambda does it for a stream. The records before the checkpoint are resolved
//! or given up; the records after it wait. Nothing here is async or uses a clock; the caller asks, acts and reports.

use std::ops::Range;

/// How the event source mapping handles failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailurePolicy {
    /// `FunctionResponseTypes` contains `ReportBatchItemFailures`: the response names the record from which to continue.
    /// Without it, every response that is not an error is a success, whatever it contains.
    pub report_item_failures: bool,
    /// `BisectBatchOnFunctionError`: a part that failed as a whole is split in two.
    pub bisect: bool,
    /// `MaximumRetryAttempts`: how many times a part is delivered again after the first time; `None` until its records
    /// are too old.
    pub retries: Option<u32>,
}

/// The result of delivering a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeliveryResult {
    /// All records are resolved.
    Succeeded,
    /// The records before this index in the part are resolved; this record and those after it are not.
    FailedFrom(usize),
    /// No record is known to be resolved: the function failed or timed out, or its response cannot be read.
    Failed,
}

/// Records to deliver, by their indexes in the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BatchPart {
    /// The indexes, never empty.
    pub(super) places: Range<usize>,
    /// How many times exactly these records were delivered together before.
    pub(super) deliveries: u32,
}

/// Why records are not delivered any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GiveUpCondition {
    /// They failed as many times as the mapping allows.
    RetryAttemptsExhausted,
    /// They are older than the mapping allows.
    RecordAgeExceeded,
}

impl GiveUpCondition {
    /// Its name in the document for the failure destination.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RetryAttemptsExhausted => "RetryAttemptsExhausted",
            Self::RecordAgeExceeded => "RecordAgeExceeded",
        }
    }
}

/// Records for the failure destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GivenUp {
    /// The records.
    pub(super) part: BatchPart,
    /// Why.
    pub(super) condition: GiveUpCondition,
}

/// The records of a batch that are not resolved yet.
#[derive(Debug)]
pub(super) struct BatchDelivery {
    policy: FailurePolicy,
    /// Adjacent parts from the checkpoint to the end of the batch. The next one to deliver is the last in the list.
    parts: Vec<BatchPart>,
}

impl BatchDelivery {
    /// A batch of `records` records, of which none has been delivered.
    pub(super) fn new(records: usize, policy: FailurePolicy) -> Self {
        let mut batch = Self { policy, parts: Vec::new() };
        batch.push(0..records);
        batch
    }

    /// The part to deliver next; `None` when the batch is finished.
    pub(super) fn next(&self) -> Option<&BatchPart> {
        self.parts.last()
    }

    /// Removes the first `records` records of the next part from the batch, because they are too old.
    pub(super) fn expire(&mut self, records: usize) -> Option<GivenUp> {
        let part = self.parts.pop()?;
        let middle = part.places.start.saturating_add(records).min(part.places.end);
        if middle == part.places.start {
            self.parts.push(part);
            return None;
        }
        self.push(middle..part.places.end);
        Some(GivenUp {
            part: BatchPart { places: part.places.start..middle, ..part },
            condition: GiveUpCondition::RecordAgeExceeded,
        })
    }

    /// Applies the result of the next part, and returns what is given up because of it.
    ///
    /// A response that moves the checkpoint, or a split, starts the count of deliveries again, because Lambda counts
    /// neither as a retry. A failure at the first record moves nothing, so it is a failure of the whole part. Otherwise
    /// a single bad record would take all records after it to the failure destination.
    pub(super) fn take(&mut self, result: DeliveryResult) -> Option<GivenUp> {
        let part = self.parts.pop()?;
        let Range { start, end } = part.places;
        match result {
            DeliveryResult::Succeeded => None,
            DeliveryResult::FailedFrom(_) if !self.policy.report_item_failures => None,
            DeliveryResult::FailedFrom(place) if (1..part.places.len()).contains(&place) => {
                self.push(start + place..end);
                None
            }
            DeliveryResult::FailedFrom(_) | DeliveryResult::Failed if self.policy.bisect && part.places.len() > 1 => {
                let middle = start + part.places.len() / 2;
                self.push(middle..end);
                self.push(start..middle);
                None
            }
            DeliveryResult::FailedFrom(_) | DeliveryResult::Failed => {
                let part = BatchPart { deliveries: part.deliveries.saturating_add(1), ..part };
                if self.policy.retries.is_none_or(|retries| part.deliveries <= retries) {
                    self.parts.push(part);
                    return None;
                }
                Some(GivenUp { part, condition: GiveUpCondition::RetryAttemptsExhausted })
            }
        }
    }

    fn push(&mut self, places: Range<usize>) {
        if !places.is_empty() {
            self.parts.push(BatchPart { places, deliveries: 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a function reports that it cannot process some of the records.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Failing {
        ByError,
        ByPlace,
    }

    /// What happened to a batch whose records at the indexes in `bad` always fail.
    #[derive(Debug, Default)]
    struct Deliveries {
        delivered: Vec<Range<usize>>,
        succeeded: Vec<usize>,
        given_up: Vec<GivenUp>,
    }

    fn work_off(records: usize, bad: u32, failing: Failing, policy: FailurePolicy) -> Deliveries {
        let is_bad = |place: usize| bad & (1 << place) != 0;
        let mut batch = BatchDelivery::new(records, policy);
        let mut deliveries = Deliveries::default();
        while let Some(part) = batch.next() {
            let places = part.places.clone();
            assert!(deliveries.delivered.len() < 1_000, "it does not end: {records} {bad:b} {policy:?}");
            assert!(!places.is_empty());
            let dealt_with =
                deliveries.succeeded.len() + deliveries.given_up.iter().map(|g| g.part.places.len()).sum::<usize>();
            assert_eq!(places.start, dealt_with, "a delivery starts at the checkpoint");
            deliveries.delivered.push(places.clone());
            let first_bad = places.clone().position(is_bad);
            let (result, done) = match (first_bad, failing) {
                (None, _) => (DeliveryResult::Succeeded, places.len()),
                (Some(_), Failing::ByError) => (DeliveryResult::Failed, 0),
                (Some(place), Failing::ByPlace) if policy.report_item_failures => {
                    (DeliveryResult::FailedFrom(place), place)
                }
                (Some(place), Failing::ByPlace) => (DeliveryResult::FailedFrom(place), places.len()),
            };
            deliveries.succeeded.extend(places.start..places.start + done);
            deliveries.given_up.extend(batch.take(result));
        }
        deliveries
    }

    fn policies() -> impl Iterator<Item = FailurePolicy> {
        [false, true].into_iter().flat_map(|report_item_failures| {
            [false, true].into_iter().flat_map(move |bisect| {
                (0..3).map(move |retries| FailurePolicy { report_item_failures, bisect, retries: Some(retries) })
            })
        })
    }

    fn all(test: impl Fn(usize, u32, Failing, FailurePolicy)) {
        for policy in policies() {
            for failing in [Failing::ByError, Failing::ByPlace] {
                for records in 0..=4 {
                    for bad in 0..1 << records {
                        test(records, bad, failing, policy);
                    }
                }
            }
        }
    }

    #[test]
    fn every_record_is_dealt_with_once_or_given_up_once() {
        all(|records, bad, failing, policy| {
            let deliveries = work_off(records, bad, failing, policy);
            let mut places = deliveries.succeeded.clone();
            places.extend(deliveries.given_up.iter().flat_map(|given_up| given_up.part.places.clone()));
            places.sort_unstable();
            assert_eq!(places, (0..records).collect::<Vec<_>>(), "{bad:b} {failing:?} {policy:?}");
        });
    }

    #[test]
    fn bisecting_gives_up_the_bad_records_alone_and_retries_each_as_often_as_allowed() {
        all(|records, bad, failing, policy| {
            if !policy.bisect || (failing == Failing::ByPlace && !policy.report_item_failures) {
                return;
            }
            let deliveries = work_off(records, bad, failing, policy);
            let expected: Vec<_> = (0..records).filter(|place| bad & (1 << place) != 0).map(|at| at..at + 1).collect();
            let given_up: Vec<_> = deliveries.given_up.iter().map(|given_up| given_up.part.places.clone()).collect();
            assert_eq!(given_up, expected, "{failing:?} {policy:?}");
            for given_up in &deliveries.given_up {
                let times = deliveries.delivered.iter().filter(|places| **places == given_up.part.places).count();
                assert_eq!(Some(given_up.part.deliveries), policy.retries.map(|retries| retries + 1));
                assert_eq!(u32::try_from(times).ok(), Some(given_up.part.deliveries), "{records} {bad:b}");
            }
        });
    }

    #[test]
    fn without_bisecting_an_error_gives_up_the_whole_batch() {
        all(|records, bad, failing, policy| {
            if policy.bisect || failing == Failing::ByPlace || bad == 0 {
                return;
            }
            let deliveries = work_off(records, bad, failing, policy);
            assert_eq!(deliveries.given_up.len(), 1);
            assert_eq!(deliveries.given_up[0].part.places, 0..records);
            assert_eq!(deliveries.given_up[0].condition, GiveUpCondition::RetryAttemptsExhausted);
            assert!(deliveries.succeeded.is_empty());
        });
    }

    #[test]
    fn a_named_place_without_the_response_type_is_a_success() {
        all(|records, bad, failing, policy| {
            if failing == Failing::ByPlace && !policy.report_item_failures {
                let deliveries = work_off(records, bad, failing, policy);
                assert_eq!(deliveries.delivered.len(), records.min(1));
                assert!(deliveries.given_up.is_empty());
            }
        });
    }

    const LASTING: FailurePolicy = FailurePolicy { report_item_failures: true, bisect: true, retries: None };

    #[test]
    fn every_place_of_failure_moves_the_checkpoint_there() {
        for records in 1..=4 {
            for place in 1..records {
                let mut batch = BatchDelivery::new(records, LASTING);
                assert_eq!(batch.take(DeliveryResult::FailedFrom(place)), None);
                assert_eq!(batch.next(), Some(&BatchPart { places: place..records, deliveries: 0 }));
            }
        }
    }

    #[test]
    fn a_batch_is_halved_down_to_one_record_which_is_then_retried_for_ever() {
        for whole in [DeliveryResult::Failed, DeliveryResult::FailedFrom(0)] {
            let mut batch = BatchDelivery::new(4, LASTING);
            for expected in [0..4, 0..2, 0..1] {
                assert_eq!(batch.next(), Some(&BatchPart { places: expected, deliveries: 0 }));
                assert_eq!(batch.take(whole), None);
            }
            for deliveries in 1..200 {
                assert_eq!(batch.next(), Some(&BatchPart { places: 0..1, deliveries }));
                assert_eq!(batch.take(whole), None);
            }
            for expected in [1..2, 2..4] {
                assert_eq!(batch.take(DeliveryResult::Succeeded), None);
                assert_eq!(batch.next(), Some(&BatchPart { places: expected, deliveries: 0 }));
            }
            assert_eq!(batch.take(DeliveryResult::Succeeded), None);
            assert_eq!(batch.next(), None);
        }
    }

    #[test]
    fn a_place_beyond_the_part_is_a_failure_of_the_whole() {
        let mut batch = BatchDelivery::new(2, FailurePolicy { bisect: false, ..LASTING });
        assert_eq!(batch.take(DeliveryResult::FailedFrom(2)), None);
        assert_eq!(batch.next(), Some(&BatchPart { places: 0..2, deliveries: 1 }));
    }

    #[test]
    fn records_that_are_too_old_leave_from_the_front() {
        for records in 1..=4 {
            for old in 0..=5 {
                let mut batch = BatchDelivery::new(records, LASTING);
                let gone = old.min(records);
                let given_up = batch.expire(old);
                assert_eq!(given_up.is_some(), gone > 0);
                if let Some(given_up) = given_up {
                    assert_eq!(given_up.part, BatchPart { places: 0..gone, deliveries: 0 });
                    assert_eq!(given_up.condition, GiveUpCondition::RecordAgeExceeded);
                }
                assert_eq!(batch.next().map(|part| part.places.clone()), (gone < records).then_some(gone..records));
            }
        }
        let mut batch = BatchDelivery::new(1, LASTING);
        assert_eq!(batch.take(DeliveryResult::Failed), None);
        let given_up = batch.expire(1).expect("the only record is too old");
        assert_eq!(given_up.part.deliveries, 1, "how often it was tried is told");
        assert_eq!(batch.next(), None);
        assert_eq!(batch.expire(1), None);
        assert_eq!(batch.take(DeliveryResult::Failed), None);
    }
}
