//! The failure queue.

use aws_config::SdkConfig;
use aws_sdk_sqs::types::Message;

use super::Replayer;
use super::document;
use super::error::ReplayError;
use super::stream;
use crate::operate::error::failure_text;
use crate::operate::repair_starts::RecordsFrom;
use crate::operate::stop::Stop;

/// How long a message is hidden from others while its records are applied, in seconds.
const VISIBILITY_SECONDS: i32 = 15 * 60;

/// How long an empty queue is listened to before it is taken to be empty, in seconds.
const WAIT_SECONDS: i32 = 2;

/// Messages in one answer: as many as SQS gives (SQS Developer Guide, "Quotas").
const MESSAGES: i32 = 10;

/// A queue.
#[derive(Debug, Clone)]
pub struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl Queue {
    /// The queue of this URL.
    #[must_use]
    pub fn new(sdk: &SdkConfig, url: &str) -> Self {
        Self { client: aws_sdk_sqs::Client::new(sdk), url: url.to_owned() }
    }

    fn error(&self, action: &'static str, cause: String) -> ReplayError {
        ReplayError::Queue { action, url: self.url.clone(), cause }
    }

    /// Applies the records of every message, and deletes the message once they are dealt with. A message whose records are
    /// gone, or that is none of a failure destination, stays.
    ///
    /// # Errors
    /// When the queue or a stream cannot be read, or the tables cannot be written.
    pub async fn drain(&self, sdk: &SdkConfig, replayer: &mut Replayer<'_>, stop: &Stop) -> Result<(), ReplayError> {
        let mut left = Vec::new();
        while !stop.requested() {
            let messages = self.receive().await?;
            if messages.is_empty() {
                break;
            }
            for message in messages {
                let dealt_with = apply(sdk, message.body.as_deref(), replayer).await?;
                let Some(receipt) = message.receipt_handle else { continue };
                if dealt_with { self.delete(receipt).await? } else { left.push(receipt) }
            }
        }
        for receipt in left {
            // It would come back by itself, only later.
            let request = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
            let _ = request.visibility_timeout(0).send().await;
        }
        Ok(())
    }

    async fn receive(&self) -> Result<Vec<Message>, ReplayError> {
        let request = self.client.receive_message().queue_url(&self.url).max_number_of_messages(MESSAGES);
        let request = request.visibility_timeout(VISIBILITY_SECONDS).wait_time_seconds(WAIT_SECONDS);
        let answer = request.send().await.map_err(|error| self.error("read", failure_text(&error)))?;
        Ok(answer.messages.unwrap_or_default())
    }

    async fn delete(&self, receipt: String) -> Result<(), ReplayError> {
        let answer = self.client.delete_message().queue_url(&self.url).receipt_handle(receipt).send().await;
        answer.map(drop).map_err(|error| self.error("delete a message of", failure_text(&error)))
    }
}

/// Applies the records that a message points at; tells whether all of them are dealt with.
async fn apply(sdk: &SdkConfig, message: Option<&str>, replayer: &mut Replayer<'_>) -> Result<bool, ReplayError> {
    let Some(pointer) = message.and_then(document::pointer) else {
        replayer.report.foreign += 1;
        return Ok(false);
    };
    let found = stream::read(sdk, &pointer).await?;
    let left = replayer.left();
    replayer.apply(found.records, RecordsFrom::Stream).await?;
    let dealt_with = found.gone.is_none() && replayer.left() == left;
    replayer.report.gone.extend(found.gone);
    Ok(dealt_with)
}
