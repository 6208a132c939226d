//! Every recipe of the page on definitions is read, and contributes what the page says.

use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::definition::{self, Defaults};
use ddb_rollup::rollup::model::poison::Image;
use ddb_rollup::rollup::model::view::{OnMissingViewItem, View};
use ddb_rollup::rollup::pipeline::delta::contribution;
use serde_json::{Value, json};

/// The definitions of the page, in its order.
fn recipes() -> Vec<View> {
    let page = include_str!("../../docs/reference/view.md");
    let blocks = page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let defaults = Defaults { source_table: "Source", view_table: "View", on_missing: OnMissingViewItem::Create };
    let read = |text: &str| definition::read(text, &defaults).unwrap_or_else(|error| panic!("{error}: {text}")).view;
    blocks.map(read).collect()
}

/// The view items and counters that an item counts for: `KEY: MEASURE[GROUP]=AMOUNT ...`.
fn contributed(view: &View, item: &Value) -> Vec<String> {
    let item: Item = serde_json::from_value(item.clone()).unwrap();
    let found = contribution(view, Image::New, &item).unwrap();
    assert_eq!(found.uncountable, None);
    let counters = found.amounts.iter().map(|(counter, amount)| {
        let group = counter.group.as_ref().map_or(String::new(), |group| format!("[{group}]"));
        format!("{}{group}={amount}", view.measures()[counter.measure].attribute)
    });
    let counters = counters.collect::<Vec<_>>().join(" ");
    found.items.iter().map(|key| format!("{key}: {counters}")).collect()
}

#[test]
fn every_recipe_contributes_what_it_is_for() {
    let s = |text: &str| json!({ "S": text });
    let n = |number: &str| json!({ "N": number });
    let cases = [
        vec![
            (
                json!({"CustomerId": s("ann"), "Status": s("open"), "Price": n("2.50"), "Quantity": n("4")}),
                vec!["ann: Orders=1 OrdersByStatus[open]=1 Revenue=10"],
            ),
            (
                json!({"CustomerId": s("ann"), "Status": s("cancelled"), "Price": n("2"), "Quantity": n("4")}),
                vec!["ann: Orders=1 OrdersByStatus[cancelled]=1"],
            ),
            (json!({"Status": s("open")}), vec![]),
        ],
        vec![
            (json!({"PK": s("USER#u2"), "SK": s("LIKE#p1"), "Owner": s("u1")}), vec!["USER#u1, POST#p1: Likes=1"]),
            (json!({"PK": s("USER#u2"), "SK": s("POST#p1"), "Owner": s("u1")}), vec![]),
        ],
        vec![(
            json!({"ProductId": s("tea"), "SoldAt": n("1772719620"), "Quantity": n("3")}),
            vec!["tea, 2026-03-05: Sold=3 SoldByHour[2026-03-05T14]=3"],
        )],
        vec![(
            json!({"Author": s("ann"), "Tags": {"SS": ["aws", "rust"]}, "VotesByDay": {"M": {"mon": n("2")}}}),
            vec!["ann: ByTag[aws]=1 ByTag[rust]=1 Votes[mon]=2"],
        )],
        vec![(
            json!({"Tags": {"L": [s("aws"), s("rust"), s("aws")]}}),
            vec!["TAG#aws: Articles=1", "TAG#rust: Articles=1"],
        )],
        vec![(json!({"VideoId": s("v"), "ViewerId": s("USER#1")}), vec!["v#9: Views=1"])],
        vec![
            (json!({"ProductId": s("tea"), "Rating": n("4")}), vec!["tea: Ratings=1 RatingSum=4"]),
            (json!({"ProductId": s("tea")}), vec!["tea: "]),
        ],
    ];
    let recipes = recipes();
    assert_eq!(recipes.len(), cases.len(), "every definition of the page has its cases");
    for (view, cases) in recipes.iter().zip(cases) {
        for (item, expected) in cases {
            let mut found = contributed(view, &item);
            found.sort_unstable();
            let mut expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            for line in found.iter_mut().chain(&mut expected) {
                // The order of measures is the definition's.
                let (key, counters) = line.split_once(": ").unwrap();
                let mut counters: Vec<&str> = counters.split(' ').collect();
                counters.sort_unstable();
                *line = format!("{key}: {}", counters.join(" "));
            }
            assert_eq!(found, expected, "{item}");
        }
    }
}
