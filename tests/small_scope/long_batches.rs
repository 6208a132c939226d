//! A batch of several transactions, with every fault at every request.

use std::collections::BTreeSet;

use ddb_rollup::rollup::pipeline::verdict::RetryCause;

use crate::function::{Answer, Counted, Function, Seen, config};
use crate::history::{Category, History, Map, Place, Point, Write, sequence_number};
use crate::line::{Passage, Script};
use crate::memory_store::MemoryStore;
use crate::tables::Tables;

const RECORDS: usize = 230;

/// Points on two maps; some are moved or deleted again, and one record is poison.
fn long_history() -> History {
    let mut history = History::default();
    for position in 0..RECORDS {
        let write = match position % 10 {
            5 if position == 105 => Write::Poison,
            7 => Write::Move(Point::Other(position - 1)),
            9 => Write::Delete(Point::Other(position - 5)),
            digit => {
                let map = if digit < 7 { Map::M } else { Map::N };
                let category = [None, Some(Category::Park), Some(Category::Cafe)][position % 3];
                Write::Insert(Point::Other(position), Place { map, category })
            }
        };
        history = history.followed_by(write).unwrap();
    }
    history
}

/// Everything that is in the tables is right, and what is acknowledged is marked. Gives the position to go on from.
fn checkpoint(history: &History, seen: &Seen, answer: &Answer) -> usize {
    let applied = seen.markers.iter().filter(|(_, outcome)| *outcome == "APPLIED");
    let applied: BTreeSet<&str> = applied.map(|(sequence_number, _)| sequence_number.as_str()).collect();
    assert_eq!(seen.counts, history.count_of(&applied), "{answer:?}");
    let acknowledged = match answer {
        Answer::All => RECORDS,
        Answer::Before(reported) => (0..RECORDS).find(|&position| sequence_number(position) == *reported).unwrap(),
        Answer::Crashed => 0,
    };
    for position in 0..acknowledged {
        let number = sequence_number(position);
        assert!(seen.markers.contains_key(&number), "the record at {position} is acknowledged: {answer:?}");
    }
    acknowledged
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_several_transactions_counts_exactly_with_any_fault_at_any_request() {
    let history = long_history();
    let (config, script) = (config(), Script::default());
    let store = MemoryStore::new(config.definition.clone(), script.clone());
    let function = Function::new(store, config, Counted::default());
    let event = |from: usize| history.event(&(from..RECORDS).collect::<Vec<_>>());
    let seen = || Seen::of(&function.store.tables());

    script.begin([]);
    assert_eq!(function.deliver(&event(0)).await, Answer::All);
    assert_eq!(seen().counts, history.recount());
    let (requests, complete) = (script.requests(), seen());
    assert!(requests >= 5, "{requests} requests");

    let mut left = BTreeSet::new();
    for request in 0..requests {
        let once = [
            Passage::CrashBefore,
            Passage::CrashAfter,
            Passage::Conflict,
            Passage::Fails(RetryCause::Throttled),
            Passage::AnswerLost(RetryCause::Timeout),
        ];
        for fault in once.map(Some).into_iter().chain([None]) {
            function.store.restore(Tables::default());
            match fault {
                Some(passage) => script.begin([(request, passage)]),
                None => script.begin_silent_from(request),
            }
            let answer = function.deliver(&event(0)).await;
            let crashed = matches!(fault, Some(Passage::CrashBefore | Passage::CrashAfter));
            assert_eq!(answer == Answer::Crashed, crashed, "{fault:?} at {request}");
            let from = checkpoint(&history, &seen(), &answer);
            assert!(from == RECORDS || fault.is_none() || crashed, "{fault:?} at {request}: {answer:?}");
            left.insert(from);
            function.store.restore(function.store.tables());
            script.begin([]);
            if from < RECORDS {
                assert_eq!(function.deliver(&event(from)).await, Answer::All, "{fault:?} at {request}");
            }
            let found = seen();
            assert_eq!((found.counts, found.markers), (complete.counts.clone(), complete.markers.clone()));
        }
    }
    println!("{requests} requests, checkpoints at {left:?}");
    assert!(left.len() >= 3, "the invocation ran out of time at several places: {left:?}");
}
