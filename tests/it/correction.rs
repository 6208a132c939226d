//! Repairs of one view item and a function, in every order of their steps: the counter is right once one of them has written.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use ddb_rollup::rollup::Item as PureItem;
use ddb_rollup::rollup::check::correction::{claim, correct};
use ddb_rollup::rollup::check::judge::StoredCounters;
use ddb_rollup::rollup::check::repair::set;
use ddb_rollup::rollup::model::change::{Counter, Sums};
use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::measure::MeasureId;
use ddb_rollup::rollup::model::number::Number;
use ddb_rollup::rollup::model::set_attribute::SetTexts;
use ddb_rollup::rollup::model::view::TableId;
use ddb_rollup::rollup::pipeline::coalesce::TouchedItem;
use ddb_rollup::rollup::pipeline::update::Update;

use crate::engine::{Engine, n, s};

/// Who takes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Actor {
    /// A repair that claims, looks and corrects.
    Corrects(u8),
    /// A repair that looks and sets.
    Sets,
    /// A function that adds one to the total and to a group, once a step.
    Function,
    /// A user who puts the item anew, without counters.
    User,
}

impl Actor {
    fn steps(self) -> usize {
        match self {
            Self::Corrects(_) => 3,
            Self::Sets => 2,
            Self::Function | Self::User => 1,
        }
    }
}

/// Every order of the steps of these actors.
fn orders(left: &[(Actor, usize)]) -> Vec<Vec<Actor>> {
    let mut all = Vec::new();
    for (place, (actor, steps)) in left.iter().enumerate().filter(|(_, (_, steps))| *steps > 0) {
        let mut rest = left.to_vec();
        rest[place].1 = steps - 1;
        for mut order in orders(&rest) {
            order.insert(0, *actor);
            all.push(order);
        }
    }
    if all.is_empty() { vec![Vec::new()] } else { all }
}

/// A map that begins with counters which are off by two, and what they should be.
struct World {
    engine: Engine,
    definition: Definition,
    truth: i64,
    seen: HashMap<Actor, (PureItem, i64)>,
    claimed: HashMap<Actor, String>,
    claims: usize,
    set: usize,
}

impl World {
    fn sums(truth: i64) -> Sums {
        let counter = |place, group: Option<&str>| Counter {
            measure: MeasureId::first_view(place),
            group: group.map(str::to_owned),
        };
        [(counter(0, None), Number::from(truth)), (counter(1, Some("Bar")), Number::from(truth))].into()
    }

    async fn put(&self, counters: bool) {
        let group = AttributeValue::M([("Bar".to_owned(), n(self.truth + 2))].into());
        let all = [("TotalPoints", n(self.truth + 2)), ("CategoryCounts", group), ("RollupVersion", n(40))];
        let counters = all.into_iter().filter(|_| counters);
        self.engine.put("Map", [("MapId", s("m"))].into_iter().chain(counters)).await;
    }

    /// Whether the update's condition held.
    async fn write(&self, update: Update) -> bool {
        let request = self.engine.db.update_item().table_name("Map").key("MapId", s("m"));
        let request = request.update_expression(update.expression).set_condition_expression(update.condition);
        let request = request.set_expression_attribute_names(Some(update.names));
        request.set_expression_attribute_values(Some(PureItem::from(update.values).into())).send().await.is_ok()
    }

    async fn look(&mut self, actor: Actor) {
        let item = self.engine.scan("Map").await.remove(0);
        self.seen.insert(actor, (PureItem::from(item), self.truth));
    }

    async fn step(&mut self, actor: Actor, number: usize) {
        match (actor, number) {
            (Actor::Corrects(_), 0) => {
                self.claims += 1;
                let id = self.claims.to_string();
                if self.write(claim(&id)).await {
                    self.claimed.insert(actor, id);
                }
            }
            (Actor::Corrects(_), 1) | (Actor::Sets, 0) => self.look(actor).await,
            (Actor::Corrects(_), _) => {
                let Some(id) = self.claimed.get(&actor) else { return };
                let (item, truth) = &self.seen[&actor];
                let stored = StoredCounters::read(&self.definition, self.definition.all(), Some(item));
                let differences = stored.differences(&Self::sums(*truth));
                if differences.is_empty() {
                    return;
                }
                if let Some(update) = correct(&self.definition, item, &differences, id) {
                    self.set += usize::from(self.write(update).await);
                }
            }
            (Actor::Sets, _) => {
                let (item, truth) = &self.seen[&actor];
                let key = self.definition.own_key(TableId(0), item).unwrap();
                let touched = TouchedItem { key, views: self.definition.all(), texts: SetTexts::new() };
                let update = set(&self.definition, &touched, item, &Self::sums(*truth));
                self.set += usize::from(self.write(update).await);
            }
            (Actor::Function, _) => {
                let update = self.engine.db.update_item().table_name("Map").key("MapId", s("m"));
                let expression =
                    "SET CategoryCounts.Bar = CategoryCounts.Bar + :n ADD TotalPoints :n, RollupVersion :n";
                let update =
                    update.update_expression(expression).condition_expression("attribute_exists(CategoryCounts)");
                if update.expression_attribute_values(":n", n(1)).send().await.is_ok() {
                    self.truth += 1;
                }
            }
            (Actor::User, _) => self.put(false).await,
        }
    }
}

async fn in_every_order(actors: &[Actor]) -> usize {
    let steps: Vec<_> = actors.iter().map(|actor| (*actor, actor.steps())).collect();
    let mut world = World {
        engine: Engine::start().await,
        definition: Definition::points_of_maps("Point", "Map").unwrap(),
        truth: 0,
        seen: HashMap::new(),
        claimed: HashMap::new(),
        claims: 0,
        set: 0,
    };
    let mut written = 0;
    for order in orders(&steps) {
        (world.truth, world.set) = (3, 0);
        world.seen.clear();
        world.claimed.clear();
        world.put(true).await;
        let mut taken: HashMap<Actor, usize> = HashMap::new();
        for actor in &order {
            let number = taken.entry(*actor).or_default();
            world.step(*actor, *number).await;
            *number += 1;
        }
        let item = world.engine.scan("Map").await.remove(0);
        let is = |value: i64| {
            item.get("TotalPoints") == Some(&n(value)) && item["CategoryCounts"].as_m().unwrap()["Bar"] == n(value)
        };
        if item.contains_key("TotalPoints") {
            let expected = if world.set > 0 { world.truth } else { world.truth + 2 };
            assert!(is(expected), "{order:?}: {item:?} after {} writes, and not {expected}", world.set);
        }
        written += usize::from(world.set > 0);
    }
    written
}

#[tokio::test]
async fn two_corrections_beside_a_function_correct_once() {
    assert!(in_every_order(&[Actor::Corrects(1), Actor::Corrects(2), Actor::Function]).await > 0);
}

#[tokio::test]
async fn a_correction_beside_a_repair_that_sets_and_a_function_corrects_once() {
    assert!(in_every_order(&[Actor::Corrects(1), Actor::Sets, Actor::Function]).await > 0);
}

#[tokio::test]
async fn a_correction_does_not_touch_an_item_that_was_put_anew() {
    in_every_order(&[Actor::Corrects(1), Actor::Function, Actor::User]).await;
}
