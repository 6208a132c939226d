//! The failure queue.

use aws_config::SdkConfig;

use super::apply::Applier;
use super::document;
use super::stream::Reader;
use super::{ReplayError, Report};
use crate::operate::cause::cause;
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
}

/// Applies the records of every message, and deletes the message once they are dealt with. A message whose records are
/// gone, or that is none of a failure destination, stays.
///
/// # Errors
/// When the queue or a stream cannot be read, or the tables cannot be written.
pub async fn drain(
    queue: &Queue,
    reader: &Reader,
    applier: &mut Applier,
    report: &mut Report,
    stop: &Stop,
) -> Result<(), ReplayError> {
    let mut left = Vec::new();
    while !stop.requested() {
        let request = queue.client.receive_message().queue_url(&queue.url).max_number_of_messages(MESSAGES);
        let request = request.visibility_timeout(VISIBILITY_SECONDS).wait_time_seconds(WAIT_SECONDS);
        let answer = request.send().await;
        let answer = answer.map_err(|error| queue.error("read", cause(&error)))?;
        let messages = answer.messages.unwrap_or_default();
        if messages.is_empty() {
            break;
        }
        for message in messages {
            let Some(pointer) = message.body.as_deref().and_then(document::pointer) else {
                report.foreign += 1;
                left.extend(message.receipt_handle);
                continue;
            };
            let (records, gone) = reader.read(&pointer).await?;
            let unresolved = applier.applied.unresolved;
            applier.apply(&records).await?;
            let dealt_with = gone.is_none() && applier.applied.unresolved == unresolved;
            report.gone.extend(gone);
            let Some(receipt) = message.receipt_handle else { continue };
            if dealt_with {
                let request = queue.client.delete_message().queue_url(&queue.url).receipt_handle(receipt);
                let answer = request.send().await;
                answer.map_err(|error| queue.error("delete a message of", cause(&error)))?;
            } else {
                left.push(receipt);
            }
        }
    }
    for receipt in left {
        // It would come back by itself, only later.
        let request = queue.client.change_message_visibility().queue_url(&queue.url).receipt_handle(receipt);
        let _ = request.visibility_timeout(0).send().await;
    }
    Ok(())
}
