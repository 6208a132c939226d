//! Records that a stream still holds.

use aws_config::SdkConfig;

use super::apply::Applier;
use super::document::Document;
use super::{Gone, ReplayError};
use crate::operate::cause::cause;
use crate::operate::stop::Stop;
use crate::operate::stream::{Cursor, DynamoStream, Stream};

/// Pages without a record after which an open shard is taken to be read to its end: a page may be empty because the
/// stream has not got further.
const EMPTY_PAGES: usize = 3;

/// Reads what pointers point at.
#[derive(Debug, Clone)]
pub struct Reader {
    client: aws_sdk_dynamodbstreams::Client,
}

impl Reader {
    /// A reader of the streams of these AWS settings.
    #[must_use]
    pub fn new(sdk: &SdkConfig) -> Self {
        Self { client: aws_sdk_dynamodbstreams::Client::new(sdk) }
    }

    /// The records from a pointer's first to its last, and what is gone of them.
    ///
    /// # Errors
    /// When the stream cannot be read; records that are gone are no error.
    pub async fn read(&self, document: &Document) -> Result<(Vec<String>, Option<Gone>), ReplayError> {
        let stream = DynamoStream::new(self.client.clone(), &document.stream);
        let gone = |records| Some(Gone { document: document.clone(), records });
        if !stream.is_there().await? {
            return Ok((Vec::new(), gone(document.size)));
        }
        let Some(mut cursor) = stream.cursor_at(&document.shard, &document.first).await? else {
            return Ok((Vec::new(), gone(document.size)));
        };
        let mut records = Vec::new();
        let mut empty = 0;
        loop {
            let page = stream.read(&document.shard, &mut cursor).await?;
            empty = if page.records.is_empty() { empty + 1 } else { 0 };
            let mut past = page.ended || empty == EMPTY_PAGES;
            for record in page.records {
                if later(&record.sequence_number, &document.last) {
                    past = true;
                    break;
                }
                records.push(record.json);
            }
            if past || records.len() >= document.size {
                break;
            }
        }
        let missing = document.size.saturating_sub(records.len());
        Ok((records, if missing > 0 { gone(missing) } else { None }))
    }
}

/// Whether a sequence number of a shard is behind another one: they are numbers, of more digits than an integer has.
fn later(number: &str, than: &str) -> bool {
    let (number, than) = (number.trim_start_matches('0'), than.trim_start_matches('0'));
    (number.len(), number) > (than.len(), than)
}

/// Applies everything that the stream of a table still holds.
///
/// # Errors
/// When the stream cannot be read, or the tables cannot be written.
pub async fn everything(sdk: &SdkConfig, table: &str, applier: &mut Applier, stop: &Stop) -> Result<(), ReplayError> {
    let refuse = |cause: String| ReplayError::NoStream { table: table.to_owned(), cause };
    let described = aws_sdk_dynamodb::Client::new(sdk).describe_table().table_name(table).send().await;
    let described = described.map_err(|error| refuse(cause(&error)))?;
    let arn = described.table.and_then(|table| table.latest_stream_arn);
    let arn = arn.ok_or_else(|| refuse("it has none; switch it on with NEW_AND_OLD_IMAGES".to_owned()))?;
    let stream = DynamoStream::new(aws_sdk_dynamodbstreams::Client::new(sdk), arn);
    for shard in stream.shards().await? {
        let mut cursor = Cursor::default();
        let mut empty = 0;
        while empty < EMPTY_PAGES && !stop.requested() {
            let page = stream.read(&shard.id, &mut cursor).await?;
            empty = if page.records.is_empty() { empty + 1 } else { 0 };
            let records: Vec<String> = page.records.into_iter().map(|record| record.json).collect();
            applier.apply(&records).await?;
            if page.ended {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::later;

    #[test]
    fn sequence_numbers_are_compared_as_numbers() {
        assert!(later("10", "9"));
        assert!(later("000000000000000000010", "9"));
        assert!(!later("9", "10"));
        assert!(!later("0010", "10"));
        assert!(later("100000000000000000000000000000000000001", "99999999999999999999999999999999999999"));
    }
}
