//! Two records of one sequence number: in every order of deliveries, the first that is counted is the only one, and the
//! other is kept in quarantine under a key of its own.

use std::collections::BTreeSet;

use crate::function::{Answer, Counted, Function, Seen, config};
use crate::history::{Category, History, Map, Place, Point, Write, sequence_number};
use crate::line::Script;
use crate::memory_store::MemoryStore;
use crate::schedule::Schedule;
use crate::tables::Tables;

#[tokio::test(start_paused = true)]
async fn a_record_with_the_sequence_number_of_another_is_kept_and_never_counted() {
    let config = config();
    let store = MemoryStore::new(config.definition.clone(), Script::default());
    let function = Function::new(store, config, Counted::default());
    let insert = |point, map| Write::Insert(point, Place { map, category: Some(Category::Park) });
    let writes = [insert(Point::P, Map::M), insert(Point::Q, Map::N)];
    let history = writes.into_iter().fold(History::default(), |history, write| history.followed_by(write).unwrap());
    let number = sequence_number(0);
    let quoted = |number: &str| format!("\"SequenceNumber\":\"{number}\"");
    let of_each = [0, 1].map(|position| history.count_of(&BTreeSet::from([sequence_number(position).as_str()])));

    let batches = [&[0][..], &[1], &[0, 1], &[1, 0]];
    let mut orders = 0;
    let mut schedule = Schedule::default();
    loop {
        function.store.restore(Tables::default());
        let (mut counted, mut both) = (None, false);
        for _ in 0..3 {
            let batch = batches[schedule.choose(batches.len())];
            let event = history.event(batch).replace(&quoted(&sequence_number(1)), &quoted(&number));
            let counted = *counted.get_or_insert(batch[0]);
            both |= batch != [counted];
            assert_eq!(function.deliver(&event).await, Answer::All, "{batch:?} after {counted} in {schedule:?}");
            let seen = Seen::of(&function.store.tables());
            assert_eq!(seen.counts, of_each[counted], "{batch:?} after {counted} in {schedule:?}");
            assert_eq!(seen.markers.len(), 1 + usize::from(both), "{batch:?} after {counted} in {schedule:?}");
        }
        orders += 1;
        if !schedule.advance() {
            break;
        }
    }
    println!("{orders} orders");
    assert_eq!(orders, 64);
}
