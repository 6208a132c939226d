//! The page about definitions: each recipe is read and does what the page says; each row of its tables is true.

use std::collections::BTreeMap;

use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::definition::{self, Defaults, Definition};
use ddb_rollup::rollup::model::language::{Condition, Datum, Value};
use ddb_rollup::rollup::model::number::Number;
use ddb_rollup::rollup::model::poison::Image;
use ddb_rollup::rollup::model::view::{OnMissingViewItem, View};
use ddb_rollup::rollup::pipeline::delta::contribution;
use serde_json::{Value as Json, json};

const PAGE: &str = include_str!("../../docs/reference/view.md");

/// A block of JSON that is an item and not a definition.
const ITEM: &str = "item of the values";

const SOURCE: &str = "Source";

fn read(text: &str) -> Result<Definition, String> {
    let defaults = Defaults { source_table: SOURCE, view_table: "View", on_missing: OnMissingViewItem::Create };
    definition::read(text, &defaults).map_err(|error| error.to_string())
}

/// The blocks of JSON, each with the comment on the line before it.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let parts: Vec<&str> = PAGE.split("```json\n").collect();
    let named = parts.windows(2).map(|pair| {
        let line = pair[0].lines().last().unwrap_or_default();
        let name = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
        let (block, _) = pair[1].split_once("\n```").unwrap();
        (name.unwrap_or_else(|| panic!("this block has no comment that names it:\n{block}")), block)
    });
    named.collect()
}

fn recipe(name: &str) -> Definition {
    let name = format!("recipe: {name}");
    let (_, block) = blocks().into_iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("no {name}"));
    read(block).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The cells of the rows of a table that stands between two comments.
fn rows(name: &str) -> Vec<Vec<&'static str>> {
    let (_, rest) = PAGE.split_once(&format!("<!-- {name} -->\n")).unwrap();
    let (table, _) = rest.split_once(&format!("<!-- /{name} -->")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    let rows: Vec<Vec<_>> = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect();
    assert!(rows.len() > 4, "{name}");
    rows
}

/// What stands in backquotes at the beginning of a cell.
fn code(cell: &str) -> &str {
    let fence = if cell.starts_with("``") { "``" } else { "`" };
    let (code, _) =
        cell.strip_prefix(fence).and_then(|rest| rest.split_once(fence)).unwrap_or_else(|| panic!("{cell}"));
    if fence.len() == 2 { code.trim() } else { code }
}

fn item(attributes: Json) -> Item {
    serde_json::from_value(attributes).unwrap()
}

fn item_of_the_values() -> Item {
    let (_, block) = blocks().into_iter().find(|(name, _)| *name == ITEM).unwrap();
    serde_json::from_str(block).unwrap()
}

/// What an image adds to which counter of which view item, each as a text.
fn added(view: &View, image: Option<&Json>) -> BTreeMap<String, Number> {
    let Some(image) = image else { return BTreeMap::new() };
    let found = contribution(view, Image::New, &item(image.clone())).unwrap();
    let mut counters = BTreeMap::new();
    for key in &found.items {
        for (counter, amount) in &found.amounts {
            let attribute = &view.measures()[counter.measure].attribute;
            let group = counter.group.as_ref().map(|group| format!("[{group}]")).unwrap_or_default();
            counters.insert(format!("{key}: {attribute}{group}"), amount.clone());
        }
    }
    counters
}

/// What a change from the one image to the other does.
fn change(view: &View, old: Option<&Json>, new: Option<&Json>) -> Vec<String> {
    let mut deltas = added(view, new);
    for (counter, amount) in added(view, old) {
        let before = deltas.remove(&counter).unwrap_or_default();
        deltas.insert(counter, &before - &amount);
    }
    let changed = deltas.into_iter().filter(|(_, amount)| !amount.is_zero());
    changed.map(|(counter, amount)| format!("{counter} {amount}")).collect()
}

/// Of each recipe: images one after the other, and what each adds; an image of no attribute is a deletion.
fn cases() -> Vec<(&'static str, Vec<(Json, Vec<&'static str>)>)> {
    let ticket = |status: &str| json!({ "ProjectId": { "S": "p" }, "Status": { "S": status } });
    let like = |plan: &str| {
        json!({ "PK": { "S": "POST#9" }, "SK": { "S": "LIKE#ann" }, "Plan": { "S": plan },
                "Post": { "M": { "Owner": { "S": "bob" } } } })
    };
    let transfer = |at: &str, amount: &str| json!({ "AccountId": { "S": "a" }, "CreatedAt": { "S": at }, "Amount": { "N": amount } });
    let order = |status: &str| {
        json!({ "PK": { "S": "s" }, "SK": { "S": "ORDER#1" }, "Customer": { "M": { "Id": { "S": "ann" } } },
                "Price": { "N": "2.50" }, "Quantity": { "N": "3" }, "Status": { "S": status },
                "CreatedAt": { "S": "2026-03-05T14:07Z" } })
    };
    let post = |tags: &[&str]| json!({ "BlogId": { "S": "b" }, "Tags": { "SS": tags }, "Words": { "N": "100" } });
    let visitor = |country: &str| json!({ "PageId": { "S": "p" }, "Country": { "S": country } });
    let point = |category: &str| json!({ "MapId": { "S": "m" }, "Category": { "S": category } });
    let rating = |rating: Json| json!({ "ProductId": { "S": "p" }, "Rating": rating });
    vec![
        (
            "count by status",
            vec![
                (ticket("new"), vec!["p: OpenTickets 1", "p: Tickets 1", "p: TicketsByStatus[new] 1"]),
                (ticket("done"), vec!["p: OpenTickets -1", "p: TicketsByStatus[done] 1", "p: TicketsByStatus[new] -1"]),
                (json!({}), vec!["p: Tickets -1", "p: TicketsByStatus[done] -1"]),
            ],
        ),
        (
            "likes of a post",
            vec![
                (like("free"), vec!["USER#bob, POST#9: Likes 1"]),
                (like("pro"), vec!["USER#bob, POST#9: LikesOfMembers 1"]),
                (
                    json!({ "PK": { "S": "USER#bob" }, "SK": { "S": "POST#9" } }),
                    vec!["USER#bob, POST#9: Likes -1", "USER#bob, POST#9: LikesOfMembers -1"],
                ),
            ],
        ),
        (
            "sums of each day",
            vec![
                (
                    transfer("2026-03-05T14:07Z", "0.10"),
                    vec!["a, DAY#2026-03-05: Total 0.1", "a, DAY#2026-03-05: Transfers 1"],
                ),
                (
                    transfer("2026-03-05T23:07Z", "0.2"),
                    vec![
                        "a, DAY#2026-03-05: Total -0.1",
                        "a, DAY#2026-03-05: Transfers -1",
                        "a, DAY#2026-03-06: Total 0.2",
                        "a, DAY#2026-03-06: Transfers 1",
                    ],
                ),
            ],
        ),
        (
            "revenue of orders",
            vec![
                (order("paid"), vec!["ann: Orders 1", "ann: Revenue 7.5", "ann: RevenueByMonth[2026-03] 7.5"]),
                (order("cancelled"), vec!["ann: Revenue -7.5", "ann: RevenueByMonth[2026-03] -7.5"]),
                (
                    json!({ "SK": { "S": "ORDER#1" }, "Customer": { "M": { "Id": { "S": "ann" } } },
                            "Price": { "N": "2" }, "Quantity": { "N": "1" } }),
                    vec!["ann: Revenue 2"],
                ),
            ],
        ),
        (
            "count each tag",
            vec![
                (post(&["a", "b"]), vec!["b: Posts 1", "b: PostsByTag[a] 1", "b: PostsByTag[b] 1"]),
                (post(&["b", "c"]), vec!["b: PostsByTag[a] -1", "b: PostsByTag[c] 1"]),
            ],
        ),
        (
            "a view item for each tag",
            vec![
                (post(&["a", "b"]), vec!["a: Posts 1", "a: Words 100", "b: Posts 1", "b: Words 100"]),
                (post(&["b"]), vec!["a: Posts -1", "a: Words -100"]),
            ],
        ),
        (
            "split a hot counter",
            vec![(
                json!({ "VideoId": { "S": "v" }, "ViewerId": { "S": "USER#1" }, "Seconds": { "N": "30" } }),
                vec!["VIDEO#v, SHARD#9: Seconds 30", "VIDEO#v, SHARD#9: Views 1"],
            )],
        ),
        (
            "averages",
            vec![
                (rating(json!({ "N": "4.0" })), vec!["p: RatingCounts[4] 1", "p: RatingSum 4", "p: Ratings 1"]),
                (rating(json!({ "NULL": true })), vec!["p: RatingCounts[4] -1", "p: RatingSum -4", "p: Ratings -1"]),
            ],
        ),
        (
            "top ten",
            vec![(
                json!({ "GameId": { "S": "g" }, "PlayerId": { "S": "ann" }, "Points": { "N": "12" } }),
                vec!["g, ann: Rounds 1", "g, ann: Score 12"],
            )],
        ),
        (
            "distinct values",
            vec![
                (visitor("FR"), vec!["p: VisitorsByCountry[FR] 1"]),
                (visitor("SE"), vec!["p: VisitorsByCountry[FR] -1", "p: VisitorsByCountry[SE] 1"]),
            ],
        ),
        (
            "the result in the source's own table",
            vec![
                (order("paid"), vec!["s, TOTALS: Orders 1", "s, TOTALS: Revenue 7.5"]),
                (
                    json!({ "PK": { "S": "s" }, "SK": { "S": "TOTALS" }, "Orders": { "N": "1" } }),
                    vec!["s, TOTALS: Orders -1", "s, TOTALS: Revenue -7.5"],
                ),
            ],
        ),
        (
            "points on maps",
            vec![
                (point("Bar"), vec!["m: CategoryCounts[Bar] 1", "m: TotalPoints 1"]),
                (point(""), vec!["m: CategoryCounts[Bar] -1"]),
            ],
        ),
    ]
}

#[test]
fn each_recipe_does_what_the_page_says() {
    for (name, images) in cases() {
        let Definition { view, .. } = recipe(name);
        let mut old = None;
        for (image, expected) in images {
            let new = image.as_object().is_some_and(|image| !image.is_empty()).then_some(image);
            assert_eq!(change(&view, old.as_ref(), new.as_ref()), expected, "{name}: from {old:?} to {new:?}");
            old = new;
        }
    }
}

#[test]
fn each_block_of_json_is_a_recipe_with_a_case() {
    let mut on_the_page: Vec<_> = blocks().into_iter().map(|(name, _)| name).filter(|name| *name != ITEM).collect();
    let mut of_cases: Vec<_> = cases().into_iter().map(|(name, _)| format!("recipe: {name}")).collect();
    on_the_page.sort_unstable();
    of_cases.sort_unstable();
    assert_eq!(on_the_page, of_cases);
}

#[test]
fn the_recipes_say_what_becomes_of_a_missing_view_item_and_key() {
    assert_eq!(recipe("likes of a post").on_missing, OnMissingViewItem::Skip);
    assert_eq!(recipe("points on maps").view, View::points_of_maps(SOURCE, "View").unwrap());
    let counted = |name: &str| contribution(&recipe(name).view, Image::New, &Item::default());
    assert!(counted("points on maps").is_err());
    assert!(counted("count by status").unwrap().items.is_empty());
    // In its own table it is read as well, and the same without its condition is refused.
    let name = "recipe: the result in the source's own table";
    let (_, block) = blocks().into_iter().find(|(other, _)| *other == name).unwrap();
    let own = block.replace("\"Shop\"", &format!("{SOURCE:?}"));
    assert!(read(&own).is_ok());
    let unconditional = own.replace("begins_with(SK, 'ORDER#')", "PK <> ''");
    assert!(read(&unconditional).unwrap_err().contains("could count the items that it creates"));
}

#[test]
fn each_value_of_the_page_is_what_the_language_gives() {
    let item = item_of_the_values();
    for row in rows("values") {
        let value = Value::parse(code(row[0])).unwrap_or_else(|error| panic!("{error}"));
        let given = match value.of(&item) {
            Some(Datum::Text(text)) => format!("`'{text}'`"),
            Some(Datum::Number(number)) => format!("`{number}`"),
            None => "no value".to_owned(),
            other => panic!("{row:?}: {other:?}"),
        };
        assert_eq!(row[1].split(':').next().filter(|said| *said == "no value").unwrap_or(row[1]), given, "{row:?}");
    }
}

#[test]
fn each_condition_of_the_page_holds_or_not_as_it_says() {
    let item = item_of_the_values();
    for row in rows("conditions") {
        let condition = Condition::parse(code(row[0])).unwrap_or_else(|error| panic!("{error}"));
        let said = row[1].split(':').next().unwrap();
        assert_eq!(condition.holds(&item).to_string(), said, "{row:?}");
    }
}

#[test]
fn each_shard_of_the_page_is_what_the_function_computes() {
    for row in rows("shards") {
        let text = if row[0].ends_with("(empty)") { "" } else { code(row[0]) };
        for (shards, said) in [2, 10, 1_000].into_iter().zip(&row[1..]) {
            let value = Value::parse(&format!("shard('{text}', {shards})")).unwrap();
            assert_eq!(value.of(&Item::default()), Some(Datum::Text((*said).into())), "{row:?}");
        }
    }
}

#[test]
fn each_refused_definition_of_the_page_is_refused_in_these_words() {
    for row in rows("refused") {
        let error = read(code(row[0])).expect_err(row[0]);
        assert!(error.contains(code(row[1])), "{row:?}: {error}");
    }
}
