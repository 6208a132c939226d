//! Several views of one stream: in one function, and beside a function for each view.
//!
//! *Aligned*: every view puts a record on the view item of the same number, so records that share one item share all.
//! *Crossing*: each view cuts the records its own way, so two records share at most some of their items.

use std::collections::{BTreeMap, BTreeSet};

use ddb_rollup::config::{Config, VIEW_DEFINITION};
use serde_json::{Value, json};

use crate::contestants::{Process, Took};
use crate::median;
use crate::world::{self, Maps, Storage, World};

/// The view items of each view: those of the first two views are 20 and 50, and so on in turn.
const ITEMS: [usize; 2] = [20, 50];

/// Actions of a transaction.
const ACTIONS: usize = 100;

/// How the views cut the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Aligned,
    Crossing,
}

impl Cut {
    fn name(self) -> &'static str {
        match self {
            Self::Aligned => "aligned",
            Self::Crossing => "crossing",
        }
    }

    /// How many items a view has.
    fn items(self, view: usize) -> usize {
        if self == Self::Aligned { ITEMS[0] } else { ITEMS[view % ITEMS.len()] }
    }

    /// The item of a view that a record is on.
    fn item(self, view: usize, record: usize) -> usize {
        // Crossing: every pair of items of the first two views has records in common; further views mix the numbers anew.
        let turned = match view {
            0 => record,
            1 => record / ITEMS[0],
            _ => record * (2 * view + 1) + record / ITEMS[0] * 7 * view,
        };
        if self == Self::Aligned { record % ITEMS[0] } else { turned % self.items(view) }
    }
}

/// Every number of views, aligned and crossing; small when it is only to be seen that they run.
pub async fn measure(full: bool) -> Value {
    let (records, rounds, numbers): (_, _, &[usize]) = if full { (1_000, 5, &[1, 2, 5, 10]) } else { (100, 1, &[2]) };
    let mut points = Vec::new();
    for cut in [Cut::Aligned, Cut::Crossing] {
        for &views in numbers {
            let point = compare(records, views, cut, rounds).await;
            println!("several views: {point}");
            points.push(point);
        }
    }
    json!({ "records": records, "rounds": rounds, "points": points })
}

async fn compare(records: usize, views: usize, cut: Cut, rounds: usize) -> Value {
    let attributes = (0..records).map(|record| {
        (0..views).map(|view| (format!("Key{view}"), cut.item(view, record).to_string())).collect::<Vec<_>>()
    });
    let event = world::event(&world::inserts_with(attributes.collect()).await);
    let all: Vec<usize> = (0..views).collect();
    let (mut together, mut apart) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // They take turns in going first.
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                together.push(count(&event, std::slice::from_ref(&all)).await);
            } else {
                apart.push(count(&event, &all.iter().map(|&view| vec![view]).collect::<Vec<_>>()).await);
            }
        }
    }
    let ratios =
        apart.iter().zip(&together).map(|(apart, together)| apart.time.as_secs_f64() / together.time.as_secs_f64());
    let least = Least::of(records, views, cut);
    let of = |took: &[Took]| {
        json!({
            "events_per_second": median(took.iter().map(|one| records as f64 / one.time.as_secs_f64())),
            "requests": took[0].requests,
            "write_units_per_event": took[0].write_units as f64 / records as f64,
        })
    };
    json!({
        "views": views,
        "cut": cut.name(),
        "view_items": least.items,
        "fewest_requests": least.requests,
        "fewest_write_units_per_event": 2.0 * (records + least.updates) as f64 / records as f64,
        "together": of(&together),
        "apart": of(&apart),
        "times_as_long": median(ratios),
    })
}

/// What no plan can do without.
struct Least {
    items: usize,
    requests: usize,
    updates: usize,
}

impl Least {
    /// A marker a record and an update a view item are the least. Where views cross, a transaction needs more: with `k`
    /// items of one view and `l` of another it has room for `k * l` times as many records as two items have in common at
    /// the most, for each pair of its views.
    fn of(records: usize, views: usize, cut: Cut) -> Self {
        let touched = |view| (0..records).map(|record| cut.item(view, record)).collect::<BTreeSet<_>>().len();
        let items: usize = (0..views).map(touched).sum();
        let pairs = (0..views).flat_map(|one| (one + 1..views).map(move |other| (one, other)));
        let in_common: Vec<usize> = pairs.map(|(one, other)| most_in_common(records, cut, one, other)).collect();
        // Every view is in all pairs but those of the others.
        let needed = |members: usize| {
            let of_pairs: usize = in_common.iter().map(|most| fewest_of_two(members.div_ceil(*most))).sum();
            of_pairs.div_ceil((views - 1).max(1)).max(views)
        };
        let possible = (1..ACTIONS).filter(|&members| members + needed(members) <= ACTIONS);
        let most_members = possible.clone().max().unwrap_or(1);
        let updates = possible.map(|members| (records * needed(members)).div_ceil(members)).min();
        Self {
            items,
            requests: (records + items).div_ceil(ACTIONS).max(records.div_ceil(most_members)),
            updates: updates.unwrap_or_default().max(items),
        }
    }
}

/// How many records two items of two views have in common at the most.
fn most_in_common(records: usize, cut: Cut, one: usize, other: usize) -> usize {
    let mut in_common: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for record in 0..records {
        *in_common.entry((cut.item(one, record), cut.item(other, record))).or_default() += 1;
    }
    in_common.into_values().max().unwrap_or(1)
}

/// The least sum of two numbers with this product at least.
fn fewest_of_two(product: usize) -> usize {
    (2..=2 * product).find(|sum| (sum / 2) * sum.div_ceil(2) >= product).unwrap_or_default()
}

/// Counts the event with one function for each group of views, one after another, each with markers of its own.
async fn count(event: &str, groups: &[Vec<usize>]) -> Took {
    let mut sum = Took::default();
    for views in groups {
        let world = World::begin(Storage::Memory, Maps { count: 0, padding: 0 }).await;
        let definition = definition(views);
        let config = Config::read(|name| (name == VIEW_DEFINITION).then(|| definition.clone())).unwrap();
        let process = Process::with(&world, config, 1);
        let took = process.deliver(event).await;
        sum.time += took.time;
        sum.requests += took.requests;
        sum.write_units += took.write_units;
        world.end().await;
    }
    sum
}

fn definition(views: &[usize]) -> String {
    let view = |view: &usize| {
        json!({
            "name": format!("View{view}"),
            "key": [{ "attribute": "MapId", "type": "S", "value": format!("{view}#{{Key{view}}}") }],
            "measures": { format!("Count{view}"): "count", format!("Weight{view}"): "sum Weight" },
        })
    };
    json!({ "views": views.iter().map(view).collect::<Vec<_>>() }).to_string()
}
