//! What the network and the service do to requests, by a seed: in turns no request fails, some do, and nearly all do.

use std::time::Duration;

use fastrand::Rng;

use crate::proxy::{Code, Fault, Request};

/// A plan of faults for a proxy.
pub fn fault_plan(mut rng: Rng) -> impl FnMut(&Request) -> Option<Fault> + Send {
    let (mut rest, mut percent) = (0, 0);
    move |_| {
        if rest == 0 {
            (rest, percent) = (rng.u32(1..15), *rng.choice(&[0, 20, 40, 70, 95]).unwrap());
        }
        rest -= 1;
        (rng.u32(..100) < percent).then(|| fault(&mut rng))
    }
}

fn fault(rng: &mut Rng) -> Fault {
    let short = |rng: &mut Rng| Duration::from_millis(rng.u64(1..150));
    match rng.u32(..200) {
        0..20 => Fault::RequestLost,
        20..45 => Fault::AnswerLost,
        45..60 => Fault::AnswerCut,
        60..75 => Fault::AnswerReplaced,
        75..90 => Fault::Late(short(rng)),
        90..100 => Fault::AnswerLate(short(rng)),
        100..125 => Fault::Conflict(rng.u64(..)),
        125..140 => Fault::ConflictBesides,
        140..150 => Fault::Error(Code::InternalServerError),
        150..157 => Fault::Error(Code::ServiceUnavailable),
        157..167 => Fault::Error(Code::Throttling),
        167..180 => Fault::Error(Code::ProvisionedThroughputExceeded),
        180..190 => Fault::Error(Code::TransactionInProgress),
        190..192 => Fault::Error(Code::AccessDenied),
        192..194 => Fault::Error(Code::ExpiredToken),
        194..196 => Fault::Error(Code::ResourceNotFound),
        // Longer than the process waits for an answer: it sends the request again while the first is under way.
        196..198 => Fault::Late(Duration::from_millis(3_100)),
        _ => Fault::Hanging,
    }
}
