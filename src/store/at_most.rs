//! A limit for the length of an answer.

use aws_sdk_dynamodb::config::ConfigBag;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// Refuses an answer that is longer than this number of bytes, before its body is read.
#[derive(Debug)]
pub(super) struct AtMost(pub(super) u64);

#[dyn_dispatch_hint]
impl Intercept for AtMost {
    fn name(&self) -> &'static str {
        "AtMost"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let length = context.response().headers().get("content-length").and_then(|length| length.parse::<u64>().ok());
        match length {
            Some(length) if length > self.0 => Err(format!("an answer of {length} bytes, more than {}", self.0).into()),
            _ => Ok(()),
        }
    }
}
