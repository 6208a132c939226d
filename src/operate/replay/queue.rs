//! Replays the messages of the failure queue.

use aws_config::SdkConfig;
use aws_sdk_sqs::types::Message;

use super::Replayer;
use super::document::{self, BatchPointer};
use super::error::ReplayError;
use super::range::{RangeContent, RangeReader};
use super::report::{Gone, ReplayReport};
use super::stream::Streams;
use crate::operate::error::failure_text;
use crate::operate::repair_starts::RecordsFrom;
use crate::operate::stop::Stop;
use crate::rollup::pipeline::parse::is_of_another_table;

/// How long a message is hidden from other consumers while its records are applied, in seconds.
const VISIBILITY_SECONDS: i32 = 15 * 60;

/// How long to wait for a message before the queue counts as empty, in seconds.
const WAIT_SECONDS: i32 = 2;

/// The most messages in one answer, which is the maximum of SQS (SQS Developer Guide, "Quotas").
const MESSAGES: i32 = 10;

/// A queue, and the messages that this process has received from it.
#[derive(Debug)]
pub struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
    source_table: String,
    streams: Streams,
    /// The receipt handles of all messages that are hidden from other consumers.
    in_hand: Vec<String>,
    /// The receipt handles of those messages whose records are gone, in the order of the report's `gone`.
    gone: Vec<String>,
}

/// What happened to the records of a message.
enum MessageEnd {
    /// All are resolved: counted, without an effect, or in quarantine.
    DealtWith,
    /// Some records are gone from the stream.
    RecordsGone,
    /// Some records are not resolved, or the message names none.
    Left,
}

impl Queue {
    /// The queue at this URL, with messages about the stream of this table.
    #[must_use]
    pub fn new(sdk: &SdkConfig, url: &str, source_table: &str) -> Self {
        Self {
            client: aws_sdk_sqs::Client::new(sdk),
            url: url.to_owned(),
            source_table: source_table.to_owned(),
            streams: Streams::new(sdk),
            in_hand: Vec::new(),
            gone: Vec::new(),
        }
    }

    fn error(&self, action: &'static str, cause: String) -> ReplayError {
        ReplayError::Queue { action, url: self.url.clone(), cause }
    }

    /// Applies the records of every message, and deletes a message once all its records are resolved. Other messages
    /// stay in the queue: those whose records are gone, and those that are not from a failure destination.
    ///
    /// # Errors
    /// When the queue or a stream cannot be read, or the tables cannot be written.
    pub async fn drain(&mut self, replayer: &mut Replayer<'_>, stop: &Stop) -> Result<(), ReplayError> {
        while !stop.requested() {
            let messages = self.receive().await?;
            if messages.is_empty() {
                break;
            }
            for Message { body, receipt_handle, .. } in messages {
                let Some(receipt) = receipt_handle else { continue };
                match self.apply(body.as_deref(), replayer, stop).await? {
                    MessageEnd::DealtWith => self.delete(&receipt).await?,
                    MessageEnd::RecordsGone => self.gone.push(receipt),
                    MessageEnd::Left => {}
                }
            }
        }
        Ok(())
    }

    /// Deletes the messages whose records are gone. Call it once their view items are repaired.
    ///
    /// # Errors
    /// When a message cannot be deleted.
    pub async fn forget_gone(&mut self, report: &mut ReplayReport) -> Result<(), ReplayError> {
        for (receipt, gone) in std::mem::take(&mut self.gone).into_iter().zip(&mut report.gone) {
            self.delete(&receipt).await?;
            gone.is_forgotten = true;
        }
        Ok(())
    }

    /// Makes the messages that were received and not deleted visible to other consumers now, instead of after the
    /// timeout.
    pub async fn give_back(&mut self) {
        for receipt in self.in_hand.drain(..) {
            let request = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
            let _ = request.visibility_timeout(0).send().await;
        }
    }

    /// Applies the records at which a message points, as far as they exist and no stop is requested.
    async fn apply(
        &mut self,
        message: Option<&str>,
        replayer: &mut Replayer<'_>,
        stop: &Stop,
    ) -> Result<MessageEnd, ReplayError> {
        if stop.requested() {
            return Ok(MessageEnd::Left);
        }
        let Some(pointer) = message.and_then(document::pointer) else {
            replayer.report.foreign += 1;
            return Ok(MessageEnd::Left);
        };
        let (read, left) = (replayer.applier.counts.read, replayer.left());
        let content = match self.streams.get(&pointer.stream).await? {
            None => RangeContent::Trimmed,
            Some(_) if is_of_another_table(&pointer.stream, &self.source_table) => {
                replayer.report.foreign += 1;
                return Ok(MessageEnd::Left);
            }
            Some(stream) => {
                let mut range = RangeReader::open(stream, &pointer).await?;
                while let Some(records) = range.next().await? {
                    let records: Vec<String> = records.into_iter().map(|record| record.json).collect();
                    replayer.apply(records, RecordsFrom::Stream).await?;
                    if stop.requested() {
                        return Ok(MessageEnd::Left);
                    }
                }
                range.content()
            }
        };
        match content {
            RangeContent::Trimmed => {
                let read = replayer.applier.counts.read - read;
                replayer.report.gone.push(gone(pointer, read));
                Ok(MessageEnd::RecordsGone)
            }
            RangeContent::Whole if replayer.left() == left => Ok(MessageEnd::DealtWith),
            RangeContent::Whole => Ok(MessageEnd::Left),
        }
    }

    async fn receive(&mut self) -> Result<Vec<Message>, ReplayError> {
        let request = self.client.receive_message().queue_url(&self.url).max_number_of_messages(MESSAGES);
        let request = request.visibility_timeout(VISIBILITY_SECONDS).wait_time_seconds(WAIT_SECONDS);
        let answer = request.send().await.map_err(|error| self.error("read", failure_text(&error)))?;
        let messages = answer.messages.unwrap_or_default();
        self.in_hand.extend(messages.iter().filter_map(|message| message.receipt_handle.clone()));
        Ok(messages)
    }

    async fn delete(&mut self, receipt: &str) -> Result<(), ReplayError> {
        let answer = self.client.delete_message().queue_url(&self.url).receipt_handle(receipt).send().await;
        answer.map_err(|error| self.error("delete a message of", failure_text(&error)))?;
        self.in_hand.retain(|held| held != receipt);
        Ok(())
    }
}

fn gone(pointer: BatchPointer, read: usize) -> Gone {
    // Some of the records that were read may belong to other lanes, so this is the least number that is gone.
    let at_least = pointer.size.saturating_sub(read).max(1);
    Gone { pointer, at_least, is_forgotten: false }
}
