//! What the answer to a transaction means.
//!
//! DynamoDB gives one reason for each action of a cancelled transaction, in the order of the actions. Any other refusal
//! has an error code. Both are text; this module turns the text into a verdict, once.

use crate::rollup::Item;

/// Why a request was not carried out. Anything that is not known to pass, or to be a record's fault, is `Broken`: then
/// Lambda keeps the records, and nothing is lost.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// Temporary: the same request, with the same token, may be sent again.
    Transient(RetryCause),
    /// The transaction was cancelled, and at least one of its actions would be cancelled again.
    Cancelled(Vec<ActionVerdict>),
    /// DynamoDB refuses the request as a whole, without saying which action is at fault.
    Refused(String),
    /// The token was used for another body: the transaction needs a new one.
    TokenReused,
    /// The deployment is at fault, not a record: an invocation cannot fix it.
    Broken(String),
}

/// Why a request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetryCause {
    /// Another transaction or write holds an item.
    Conflict,
    /// The request exceeds the capacity.
    Throttled,
    /// The same transaction is still being carried out.
    InProgress,
    /// The service failed.
    Server,
    /// No answer in time.
    Timeout,
    /// The connection was not made, or was lost.
    Connection,
}

impl Failure {
    /// Whether an action's condition was not met, and no other action was refused permanently.
    #[must_use]
    pub fn is_unmet_condition(&self) -> bool {
        let Self::Cancelled(actions) = self else { return false };
        let unmet = actions.iter().any(|action| matches!(action, ActionVerdict::ConditionFailed(_)));
        unmet && !actions.iter().any(|action| matches!(action, ActionVerdict::Refused(_)))
    }

    /// Whether the service said that the request was not carried out and may be sent again. Without an answer, it is
    /// unknown whether it was carried out.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Transient(RetryCause::Conflict | RetryCause::Throttled | RetryCause::InProgress | RetryCause::Server)
        )
    }
}

impl RetryCause {
    /// Every cause, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Conflict, Self::Throttled, Self::InProgress, Self::Server, Self::Timeout, Self::Connection];
}

/// What the reason of one action of a cancelled transaction means.
#[derive(Debug, Clone, PartialEq)]
pub enum ActionVerdict {
    /// Nothing is wrong with it.
    Fine,
    /// Its condition was not met, by this item; `None` if there is no item, or it did not come back.
    ConditionFailed(Option<Item>),
    /// Temporary: it may be sent again.
    Transient(RetryCause),
    /// It cannot be carried out; with the service's message.
    Refused(String),
    /// The deployment is at fault; with the service's message.
    Broken(String),
}

/// One cancellation reason, as the service gives it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CancellationReason {
    /// The code; absent or `None` when nothing is wrong.
    pub code: Option<String>,
    /// The service's words.
    pub message: Option<String>,
    /// The item that exists, if the action asked for it.
    pub item: Option<Item>,
}

/// Reads the reasons of a cancelled transaction with this number of actions.
///
/// If there is not one reason for each action, no action can be blamed. Then the transaction is sent again if one of
/// the reasons is temporary, and otherwise the deployment is at fault.
#[must_use]
pub fn cancelled(reasons: Vec<CancellationReason>, actions: usize) -> Failure {
    let verdicts: Vec<_> = reasons.into_iter().map(action).collect();
    if let Some(ActionVerdict::Broken(words)) =
        verdicts.iter().find(|verdict| matches!(verdict, ActionVerdict::Broken(_)))
    {
        return Failure::Broken(words.clone());
    }
    let decisive =
        |verdict: &ActionVerdict| matches!(verdict, ActionVerdict::ConditionFailed(_) | ActionVerdict::Refused(_));
    if verdicts.len() == actions && verdicts.iter().any(decisive) {
        return Failure::Cancelled(verdicts);
    }
    let cause = verdicts.iter().find_map(|verdict| match verdict {
        ActionVerdict::Transient(cause) => Some(*cause),
        _ => None,
    });
    match cause {
        Some(cause) => Failure::Transient(cause),
        None if verdicts.len() == actions => Failure::Transient(RetryCause::Server),
        None => Failure::Broken(format!(
            "a transaction of {actions} actions was cancelled with {} reasons, which cannot be matched to them; an \
             engine must give one reason per action",
            verdicts.len()
        )),
    }
}

/// The reasons in the message of a cancellation, for engines that give them nowhere else: `[None,
/// ConditionalCheckFailed]`. None has an item.
#[must_use]
pub fn reasons_in(message: &str) -> Vec<CancellationReason> {
    let codes = message.rsplit_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(codes, _)| codes);
    let code = |code: &str| CancellationReason { code: Some(code.trim().to_owned()), ..CancellationReason::default() };
    codes.into_iter().flat_map(|codes| codes.split(',')).map(code).collect()
}

fn action(reason: CancellationReason) -> ActionVerdict {
    let words = |code: &str| match reason.message {
        Some(message) => format!("{code}: {message}"),
        None => code.to_owned(),
    };
    match reason.code.as_deref() {
        None | Some("None" | "") => ActionVerdict::Fine,
        Some("ConditionalCheckFailed") => ActionVerdict::ConditionFailed(reason.item),
        Some(code @ ("ValidationError" | "ItemCollectionSizeLimitExceeded")) => ActionVerdict::Refused(words(code)),
        // A code that nobody knows is no reason to quarantine a record.
        Some(code) => match transient(code) {
            Some(cause) => ActionVerdict::Transient(cause),
            None => ActionVerdict::Broken(words(code)),
        },
    }
}

/// An error answer that is not a cancellation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The error code, if the answer has one.
    pub code: Option<String>,
    /// The service's words.
    pub message: Option<String>,
}

/// Reads an error answer.
#[must_use]
pub fn error(answer: &ErrorAnswer) -> Failure {
    let words = || {
        let message = answer.message.as_deref().unwrap_or("no message");
        match &answer.code {
            Some(code) => format!("{code}: {message}"),
            None => format!("HTTP status {} without an error code", answer.status),
        }
    };
    match answer.code.as_deref() {
        Some("ValidationException" | "ItemCollectionSizeLimitExceededException") => Failure::Refused(words()),
        Some("IdempotentParameterMismatchException") => Failure::TokenReused,
        code => match code.and_then(transient) {
            Some(cause) => Failure::Transient(cause),
            None if answer.status >= 500 || answer.status == 408 => Failure::Transient(RetryCause::Server),
            None if answer.status == 429 => Failure::Transient(RetryCause::Throttled),
            None => Failure::Broken(words()),
        },
    }
}

/// Reads an error answer to a request with one action, which may have a condition.
#[must_use]
pub fn single(answer: &ErrorAnswer) -> Failure {
    match answer.code.as_deref() {
        Some("ConditionalCheckFailedException") => Failure::Cancelled(vec![ActionVerdict::ConditionFailed(None)]),
        _ => error(answer),
    }
}

/// The codes, of cancellation reasons and of errors, that are temporary.
fn transient(code: &str) -> Option<RetryCause> {
    match code {
        "TransactionConflict" | "TransactionConflictException" => Some(RetryCause::Conflict),
        "ThrottlingError"
        | "ThrottlingException"
        | "Throttling"
        | "ProvisionedThroughputExceeded"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "TooManyRequestsException" => Some(RetryCause::Throttled),
        "TransactionInProgressException" | "TransactionInProgress" => Some(RetryCause::InProgress),
        "InternalServerError"
        | "InternalServerErrorException"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => Some(RetryCause::Server),
        "RequestTimeout" | "RequestTimeoutException" => Some(RetryCause::Timeout),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(code: &str) -> CancellationReason {
        CancellationReason { code: Some(code.to_owned()), ..CancellationReason::default() }
    }

    #[test]
    fn every_reason_has_its_verdict() {
        let refused = |text: &str| ActionVerdict::Refused(text.to_owned());
        for (code, expected) in [
            ("None", ActionVerdict::Fine),
            ("", ActionVerdict::Fine),
            ("ConditionalCheckFailed", ActionVerdict::ConditionFailed(None)),
            ("TransactionConflict", ActionVerdict::Transient(RetryCause::Conflict)),
            ("ThrottlingError", ActionVerdict::Transient(RetryCause::Throttled)),
            ("ProvisionedThroughputExceeded", ActionVerdict::Transient(RetryCause::Throttled)),
            ("InternalServerError", ActionVerdict::Transient(RetryCause::Server)),
            ("RequestTimeout", ActionVerdict::Transient(RetryCause::Timeout)),
            ("ValidationError", refused("ValidationError")),
            ("ItemCollectionSizeLimitExceeded", refused("ItemCollectionSizeLimitExceeded")),
            ("SomethingNew", ActionVerdict::Broken("SomethingNew".to_owned())),
            ("AccessDeniedException", ActionVerdict::Broken("AccessDeniedException".to_owned())),
            ("ResourceNotFound", ActionVerdict::Broken("ResourceNotFound".to_owned())),
        ] {
            assert_eq!(action(reason(code)), expected, "{code}");
        }
        assert_eq!(action(CancellationReason::default()), ActionVerdict::Fine);
    }

    #[test]
    fn a_cancellation_is_transient_only_when_nothing_in_it_is_decisive() {
        let cancelled = |codes: &[&str]| cancelled(codes.iter().map(|code| reason(code)).collect(), 2);
        assert_eq!(cancelled(&["None", "TransactionConflict"]), Failure::Transient(RetryCause::Conflict));
        assert_eq!(cancelled(&["None", "None"]), Failure::Transient(RetryCause::Server));
        assert!(matches!(cancelled(&["TransactionConflict", "ConditionalCheckFailed"]), Failure::Cancelled(_)));
        assert!(matches!(cancelled(&["ThrottlingError", "ValidationError"]), Failure::Cancelled(_)));
        assert!(matches!(cancelled(&["AccessDenied", "ConditionalCheckFailed"]), Failure::Broken(_)));
        for unequal in [&[][..], &["ConditionalCheckFailed"], &["None"], &["None", "None", "ValidationError"]] {
            assert!(matches!(cancelled(unequal), Failure::Broken(_)), "it would be the same again: {unequal:?}");
        }
        let passing = cancelled(&["None", "ConditionalCheckFailed", "TransactionConflict"]);
        assert_eq!(passing, Failure::Transient(RetryCause::Conflict));
    }

    #[test]
    fn reasons_are_found_in_the_words_of_an_engine_that_gives_them_nowhere_else() {
        let words = "Transaction cancelled, please refer cancellation reasons for specific reasons";
        for (message, expected) in [
            (format!("{words} [None, ConditionalCheckFailed]"), &["None", "ConditionalCheckFailed"][..]),
            (
                format!("{words} [ConditionalCheckFailed,None,ThrottlingError]."),
                &["ConditionalCheckFailed", "None", "ThrottlingError"],
            ),
            (format!("[1] {words} [ ValidationError ]"), &["ValidationError"]),
            (format!("{words} []"), &[""]),
            (format!("{words} [None"), &[]),
            (words.to_owned(), &[]),
            (String::new(), &[]),
        ] {
            let found: Vec<String> = reasons_in(&message).into_iter().filter_map(|reason| reason.code).collect();
            assert_eq!(found, expected, "{message}");
        }
    }

    #[test]
    fn every_error_has_its_verdict() {
        let transient = |cause| Failure::Transient(cause);
        for (status, code, expected) in [
            (400, "TransactionConflictException", transient(RetryCause::Conflict)),
            (400, "TransactionInProgressException", transient(RetryCause::InProgress)),
            (400, "ProvisionedThroughputExceededException", transient(RetryCause::Throttled)),
            (400, "ThrottlingException", transient(RetryCause::Throttled)),
            (400, "RequestLimitExceeded", transient(RetryCause::Throttled)),
            (500, "InternalServerError", transient(RetryCause::Server)),
            (400, "InternalFailure", transient(RetryCause::Server)),
            (400, "ServiceUnavailable", transient(RetryCause::Server)),
            (400, "RequestTimeout", transient(RetryCause::Timeout)),
            (408, "Anything", transient(RetryCause::Server)),
            (503, "Anything", transient(RetryCause::Server)),
            (429, "Anything", transient(RetryCause::Throttled)),
            (400, "ValidationException", Failure::Refused("ValidationException: no message".to_owned())),
            (400, "IdempotentParameterMismatchException", Failure::TokenReused),
            (400, "AccessDeniedException", Failure::Broken("AccessDeniedException: no message".to_owned())),
            (400, "ResourceNotFoundException", Failure::Broken("ResourceNotFoundException: no message".to_owned())),
            (400, "ExpiredTokenException", Failure::Broken("ExpiredTokenException: no message".to_owned())),
        ] {
            let answer = ErrorAnswer { status, code: Some(code.to_owned()), message: None };
            assert_eq!(error(&answer), expected, "{code}");
        }
        assert_eq!(error(&ErrorAnswer { status: 502, ..ErrorAnswer::default() }), transient(RetryCause::Server));
        assert!(matches!(error(&ErrorAnswer { status: 403, ..ErrorAnswer::default() }), Failure::Broken(_)));
    }

    #[test]
    fn who_sees_an_unmet_condition_looks_again_unless_something_is_refused_for_good() {
        let unmet = |codes: &[&str]| {
            cancelled(codes.iter().map(|code| reason(code)).collect(), codes.len()).is_unmet_condition()
        };
        assert!(unmet(&["None", "ConditionalCheckFailed"]));
        assert!(unmet(&["TransactionConflict", "ConditionalCheckFailed"]));
        assert!(!unmet(&["ConditionalCheckFailed", "ValidationError"]));
        assert!(!unmet(&["None", "ValidationError"]));
        assert!(!unmet(&["None", "TransactionConflict"]));

        let answer = |code: &str| ErrorAnswer { status: 400, code: Some(code.to_owned()), message: None };
        assert!(single(&answer("ConditionalCheckFailedException")).is_unmet_condition());
        for other in ["TransactionConflictException", "ValidationException", "AccessDeniedException"] {
            assert_eq!(single(&answer(other)), error(&answer(other)));
        }
    }

    #[test]
    fn what_passes_was_answered() {
        for cause in RetryCause::ALL {
            let expected = !matches!(cause, RetryCause::Timeout | RetryCause::Connection);
            assert_eq!(Failure::Transient(cause).is_passing(), expected, "{cause:?}");
        }
        assert!(!Failure::TokenReused.is_passing());
        let cancelled = |codes: &[&str]| cancelled(codes.iter().map(|code| reason(code)).collect(), codes.len());
        assert!(cancelled(&["TransactionConflict", "None"]).is_passing());
        assert!(cancelled(&["None", "ThrottlingError"]).is_passing());
        assert!(!cancelled(&["ValidationError", "TransactionConflict"]).is_passing());
    }
}
