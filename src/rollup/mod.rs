//! The pure part: from raw stream records to planned transactions, and from outcomes to the response.
//!
//! Nothing in here knows an SDK, async, a clock, randomness, the environment or logging; what it needs of them comes in
//! as a value. The modules in the order in which an event passes them:
//!
//! 1. [`record`]: the event's raw records, each parsed alone.
//! 2. [`view`]: the definition of a view, the shipped one included.
//! 3. [`delta`]: what one record does to which view items.
//! 4. [`coalesce`]: the records of a batch as one set of changes, and the sums of any part of it.
//! 5. [`plan`]: changes into transactions within DynamoDB's limits ([`limits`]), and a transaction into its actions
//!    ([`marker`], [`update`]).
//! 6. [`verdict`]: what the answer to a transaction means, action by action.
//! 7. [`known`]: which view items need no question the next time.
//! 8. [`response`]: what Lambda is told.
//!
//! What is counted is a [`view`], which its user writes as a [`definition`].
//!
//! Beside that way, for the operator: [`recount`], source items counted one by one; [`audit`], what the counters should be and
//! what it means when they are not; [`repair`], the write that makes them so; and [`ledger`], what the markers say.

pub mod audit;
pub mod coalesce;
pub mod definition;
pub mod delta;
pub mod known;
pub mod language;
pub mod ledger;
pub mod limits;
pub mod marker;
pub mod number;
pub mod plan;
pub mod poison;
pub mod record;
pub mod recount;
pub mod repair;
pub mod response;
pub mod update;
pub mod verdict;
pub mod view;

pub use serde_dynamo::{AttributeValue, Item};
