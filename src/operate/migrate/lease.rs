//! The lease under which migrations are applied: one operator at a time.
//!
//! It is an item of the idempotency table with an owner and an end. Its holder renews it while the work goes on; the lease
//! of one that crashed runs out. Whether it did is judged by the clock of who wants it, less [`CLOCK_MARGIN`]. The lease
//! keeps operators from doing the same work twice, and nothing else rests on clocks: what is recorded is recorded on the
//! condition that the lease is still held, and every step is safe when two do it at once.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::warn;

use super::MigrateError;
use super::history::{History, text};
use crate::commit::Randomness;
use crate::operate::cause::cause;
use crate::operate::replay::now;
use crate::rollup::model::marker::{SEQUENCE_NUMBER, STREAM};

/// The sequence number of the lease's item; no stream record can have it.
pub const LEASE: &str = "migration-lease";
/// Who holds the lease, for people.
pub const HOLDER: &str = "Holder";
/// Which run holds it: random, so that a lease that was taken over is not taken for one's own.
pub const TOKEN: &str = "LeaseToken";
/// When it ends unless it is renewed: RFC 3339, UTC, milliseconds, which compare as texts.
pub const ENDS_AT: &str = "LeaseEndsAt";

/// How long an operator's lease lasts that is not renewed. It is renewed when a third of it is over, so that one renewal
/// may fail.
pub const TERM: Duration = Duration::from_mins(1);

/// How far the clocks of two operators may be apart: a lease is taken over this long after its end.
pub const CLOCK_MARGIN: Duration = Duration::from_secs(10);

/// Who holds the lease, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Who.
    pub holder: String,
    /// Its end, in RFC 3339, unless it is renewed.
    pub ends_at: String,
}

impl Held {
    /// When somebody else may take it.
    #[must_use]
    pub fn free_at(&self) -> String {
        self.ends_at
            .parse::<DateTime<Utc>>()
            .map_or_else(|_| self.ends_at.clone(), |ends_at| after(ends_at, CLOCK_MARGIN))
    }
}

/// A lease that this process holds.
#[derive(Debug)]
pub struct Lease<'h> {
    history: &'h History,
    token: String,
    term: Duration,
    renewed: Instant,
}

/// Who holds the lease now; none when nobody does, or did not release it and it ran out.
///
/// # Errors
/// When the table cannot be read.
pub async fn holder(history: &History, now: DateTime<Utc>) -> Result<Option<Held>, MigrateError> {
    let held = read(history).await?.map(|(held, _)| held);
    Ok(held.filter(|held| held.ends_at >= before(now, CLOCK_MARGIN)))
}

async fn read(history: &History) -> Result<Option<(Held, String)>, MigrateError> {
    let request = history.client.get_item().table_name(&history.table).set_key(Some(history.lease_key()));
    let answer = request.consistent_read(true).send().await;
    let item = answer.map_err(|error| history.error("read", cause(&error)))?.item;
    Ok(item.map(|item| {
        let of = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
        (Held { holder: of(HOLDER), ends_at: of(ENDS_AT) }, of(TOKEN))
    }))
}

impl<'h> Lease<'h> {
    /// Takes the lease for a term, if nobody holds it at this time.
    ///
    /// # Errors
    /// When somebody does, or the table cannot be written.
    pub async fn take(
        history: &'h History,
        holder: &str,
        term: Duration,
        randomness: &impl Randomness,
        now: DateTime<Utc>,
    ) -> Result<Self, MigrateError> {
        let (token, renewed) = (randomness.token().to_string(), Instant::now());
        let request = history
            .client
            .put_item()
            .table_name(&history.table)
            .set_item(Some(history.lease_key()))
            .item(HOLDER, text(holder))
            .item(TOKEN, text(&token))
            .item(ENDS_AT, text(&after(now, term)))
            .condition_expression("attribute_not_exists(#key) OR #ends < :now")
            .expression_attribute_names("#key", SEQUENCE_NUMBER)
            .expression_attribute_names("#ends", ENDS_AT)
            .expression_attribute_values(":now", text(&before(now, CLOCK_MARGIN)));
        match request.send().await {
            Ok(_) => Ok(Self { history, token, term, renewed }),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => match read(history).await? {
                    // It was written, the answer was lost, and the SDK asked again.
                    Some((_, found)) if found == token => Ok(Self { history, token, term, renewed }),
                    Some((held, _)) => Err(MigrateError::Held(held)),
                    None => Err(MigrateError::JustReleased),
                },
                _ => Err(history.error("take the lease in", cause(&error))),
            },
        }
    }

    /// Renews the lease as long as it is polled; returns when it is lost.
    pub async fn keep(&mut self) -> MigrateError {
        loop {
            let ends = self.renewed + self.term;
            sleep_until(self.renewed + self.term / 3).await;
            loop {
                let asked = Instant::now();
                match timeout_at(ends, self.renew(now())).await {
                    Ok(Ok(true)) => {
                        self.renewed = asked;
                        break;
                    }
                    // Taken over, or over without an answer.
                    Ok(Ok(false)) | Err(_) => return MigrateError::Lost,
                    Ok(Err(error)) if Instant::now() >= ends => return error,
                    Ok(Err(error)) => {
                        warn!("the migration lease could not be renewed yet: {error}");
                        sleep_until((asked + self.term / 12).min(ends)).await;
                    }
                }
            }
        }
    }

    /// Moves the end of the lease; tells whether it was still held.
    async fn renew(&self, now: DateTime<Utc>) -> Result<bool, MigrateError> {
        let history = self.history;
        let request = history
            .client
            .update_item()
            .table_name(&history.table)
            .set_key(Some(history.lease_key()))
            .update_expression("SET #ends = :ends")
            .condition_expression("#token = :token")
            .expression_attribute_names("#ends", ENDS_AT)
            .expression_attribute_names("#token", TOKEN)
            .expression_attribute_values(":ends", text(&after(now, self.term)))
            .expression_attribute_values(":token", text(&self.token));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(history.error("renew the lease in", cause(&error))),
            },
        }
    }

    /// The condition that the lease is still held, as a part of a transaction.
    pub(super) fn check(&self) -> Result<ConditionCheck, MigrateError> {
        let check = ConditionCheck::builder()
            .table_name(&self.history.table)
            .set_key(Some(self.history.lease_key()))
            .condition_expression("#token = :token")
            .expression_attribute_names("#token", TOKEN)
            .expression_attribute_values(":token", text(&self.token));
        check.build().map_err(|error| self.history.error("write", error))
    }

    /// Gives the lease back. Where that fails, it runs out.
    pub async fn release(self) {
        let request = self
            .history
            .client
            .delete_item()
            .table_name(&self.history.table)
            .set_key(Some(self.history.lease_key()))
            .condition_expression("#token = :token")
            .expression_attribute_names("#token", TOKEN)
            .expression_attribute_values(":token", text(&self.token));
        if let Err(error) = request.send().await {
            warn!("the migration lease was not given back, it runs out: {}", cause(&error));
        }
    }
}

impl History {
    fn lease_key(&self) -> HashMap<String, AttributeValue> {
        [(SEQUENCE_NUMBER.to_owned(), text(LEASE)), (STREAM.to_owned(), text(&self.view))].into()
    }
}

fn after(time: DateTime<Utc>, duration: Duration) -> String {
    stamp(time + TimeDelta::from_std(duration).unwrap_or_default())
}

fn before(time: DateTime<Utc>, duration: Duration) -> String {
    stamp(time - TimeDelta::from_std(duration).unwrap_or_default())
}

/// A time as it is stored: RFC 3339, UTC, milliseconds.
pub(super) fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
