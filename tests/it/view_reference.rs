//! The page about definitions: each recipe is read and does what the page says; each row of its tables is true.

use std::collections::BTreeMap;

use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::definition::{self, Defaults, Definition};
use ddb_rollup::rollup::model::language::{self, Condition, Datum, Value};
use ddb_rollup::rollup::model::limits;
use ddb_rollup::rollup::model::number::Number;
use ddb_rollup::rollup::model::poison::Image;
use ddb_rollup::rollup::model::view::OnMissingViewItem;
use ddb_rollup::rollup::pipeline::contribution::contribution;
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
fn added(definition: &Definition, image: Option<&Json>) -> BTreeMap<String, Number> {
    let Some(image) = image else { return BTreeMap::new() };
    let found = contribution(definition, Image::New, &item(image.clone())).unwrap();
    let mut counters = BTreeMap::new();
    for (key, contribution) in found.by_item() {
        for (counter, amount) in &contribution.amounts {
            let attribute = &definition[counter.measure].attribute;
            let group = counter.group.as_ref().map(|group| format!("[{group}]")).unwrap_or_default();
            counters.insert(format!("{key}: {attribute}{group}"), amount.clone());
        }
    }
    counters
}

/// What a change from the one image to the other does.
fn change(definition: &Definition, old: Option<&Json>, new: Option<&Json>) -> Vec<String> {
    let mut deltas = added(definition, new);
    for (counter, amount) in added(definition, old) {
        let before = deltas.remove(&counter).unwrap_or_default();
        deltas.insert(counter, &before - &amount);
    }
    let changed = deltas.into_iter().filter(|(_, amount)| !amount.is_zero());
    changed.map(|(counter, amount)| format!("{counter} {amount}")).collect()
}

/// A recipe, and writes of one source item, one after the other.
struct Case {
    recipe: &'static str,
    writes: Vec<Write>,
}

/// A write of the source item, and what it does to which counter of which view item.
struct Write {
    /// The item after it; nothing if it is a deletion.
    image: Option<Json>,
    does: Vec<&'static str>,
}

fn case(recipe: &'static str, writes: impl Into<Vec<Write>>) -> Case {
    Case { recipe, writes: writes.into() }
}

fn put(image: Json, does: impl Into<Vec<&'static str>>) -> Write {
    Write { image: Some(image), does: does.into() }
}

fn delete(does: impl Into<Vec<&'static str>>) -> Write {
    Write { image: None, does: does.into() }
}

fn cases() -> Vec<Case> {
    cases_of_one_item_a_group().into_iter().chain(cases_of_computed_keys()).collect()
}

/// The recipes whose view item is named by an attribute.
fn cases_of_one_item_a_group() -> [Case; 9] {
    let ticket = |status: &str| json!({ "ProjectId": { "S": "p" }, "Status": { "S": status } });
    let post = |tags: &[&str]| json!({ "BlogId": { "S": "b" }, "Tags": { "SS": tags } });
    let rating = |rating: Json| json!({ "ProductId": { "S": "p" }, "Rating": rating });
    let round = json!({ "GameId": { "S": "g" }, "PlayerId": { "S": "ann" }, "Points": { "N": "12" } });
    let visitor = |country: &str| json!({ "PageId": { "S": "p" }, "Country": { "S": country } });
    let point = |category: &str| json!({ "MapId": { "S": "m" }, "Category": { "S": category } });
    let of_customer = |status: &str| {
        let mut order = order(status);
        order["CustomerId"] = json!({ "S": "ann" });
        order
    };
    let ann = json!({ "M": { "Id": { "S": "ann" } } });
    let bare = json!({ "SK": { "S": "ORDER#1" }, "Customer": ann, "Price": { "N": "2" }, "Quantity": { "N": "1" } });
    [
        case(
            "several views of one table",
            [
                put(
                    of_customer("paid"),
                    ["2026-03-05: Orders 1", "2026-03-05: Paid 1", "ann: Orders 1", "ann: Revenue 7.5"],
                ),
                put(of_customer("open"), ["2026-03-05: Paid -1"]),
                delete(["2026-03-05: Orders -1", "ann: Orders -1", "ann: Revenue -7.5"]),
            ],
        ),
        case("the largest ones first", [put(of_customer("paid"), ["ann: Orders 1"]), delete(["ann: Orders -1"])]),
        case(
            "count by status",
            [
                put(ticket("new"), ["p: OpenTickets 1", "p: Tickets 1", "p: TicketsByStatus[new] 1"]),
                put(ticket("done"), ["p: OpenTickets -1", "p: TicketsByStatus[done] 1", "p: TicketsByStatus[new] -1"]),
                delete(["p: Tickets -1", "p: TicketsByStatus[done] -1"]),
            ],
        ),
        case(
            "revenue of orders",
            [
                put(order("paid"), ["ann: Orders 1", "ann: Revenue 7.5", "ann: RevenueByMonth[2026-03] 7.5"]),
                put(order("cancelled"), ["ann: Revenue -7.5", "ann: RevenueByMonth[2026-03] -7.5"]),
                put(bare, ["ann: Revenue 2"]),
            ],
        ),
        case(
            "count each tag",
            [
                put(post(&["a", "b"]), ["b: Posts 1", "b: PostsByTag[a] 1", "b: PostsByTag[b] 1"]),
                put(post(&["b", "c"]), ["b: PostsByTag[a] -1", "b: PostsByTag[c] 1"]),
            ],
        ),
        case(
            "averages",
            [
                put(rating(json!({ "N": "4.0" })), ["p: RatingCounts[4] 1", "p: RatingSum 4", "p: Ratings 1"]),
                put(rating(json!({ "NULL": true })), ["p: RatingCounts[4] -1", "p: RatingSum -4", "p: Ratings -1"]),
            ],
        ),
        case("top ten", [put(round, ["g, ann: Rounds 1", "g, ann: Score 12"])]),
        case(
            "distinct values",
            [
                put(visitor("FR"), ["p: VisitorsByCountry[FR] 1"]),
                put(visitor("SE"), ["p: VisitorsByCountry[FR] -1", "p: VisitorsByCountry[SE] 1"]),
            ],
        ),
        case(
            "points on maps",
            [
                put(point("Bar"), ["m: CategoryCounts[Bar] 1", "m: TotalPoints 1"]),
                put(point(""), ["m: CategoryCounts[Bar] -1"]),
            ],
        ),
    ]
}

/// The recipes whose view item is named by a template.
fn cases_of_computed_keys() -> [Case; 5] {
    let like = |plan: &str| {
        json!({ "PK": { "S": "POST#9" }, "SK": { "S": "LIKE#ann" }, "Plan": { "S": plan },
                "Post": { "M": { "Owner": { "S": "bob" } } } })
    };
    let transfer = |at: &str, amount: &str| json!({ "AccountId": { "S": "a" }, "CreatedAt": { "S": at }, "Amount": { "N": amount } });
    let tagged = |tags: &[&str]| json!({ "Tags": { "SS": tags }, "Words": { "N": "100" } });
    let seen = json!({ "VideoId": { "S": "v" }, "ViewerId": { "S": "USER#1" }, "Seconds": { "N": "30" } });
    let totals = json!({ "PK": { "S": "s" }, "SK": { "S": "TOTALS" }, "Orders": { "N": "1" } });
    [
        case(
            "likes of a post",
            [
                put(like("free"), ["USER#bob, POST#9: Likes 1"]),
                put(like("pro"), ["USER#bob, POST#9: LikesOfMembers 1"]),
                delete(["USER#bob, POST#9: Likes -1", "USER#bob, POST#9: LikesOfMembers -1"]),
                put(json!({ "PK": { "S": "USER#bob" }, "SK": { "S": "POST#9" } }), []),
            ],
        ),
        case(
            "sums of each day",
            [
                put(
                    transfer("2026-03-05T14:07Z", "0.10"),
                    ["a, DAY#2026-03-05: Total 0.1", "a, DAY#2026-03-05: Transfers 1"],
                ),
                put(
                    transfer("2026-03-05T23:07Z", "0.2"),
                    [
                        "a, DAY#2026-03-05: Total -0.1",
                        "a, DAY#2026-03-05: Transfers -1",
                        "a, DAY#2026-03-06: Total 0.2",
                        "a, DAY#2026-03-06: Transfers 1",
                    ],
                ),
            ],
        ),
        case(
            "a view item for each tag",
            [
                put(tagged(&["a", "b"]), ["a: Posts 1", "a: Words 100", "b: Posts 1", "b: Words 100"]),
                put(tagged(&["b"]), ["a: Posts -1", "a: Words -100"]),
            ],
        ),
        case("split a hot counter", [put(seen, ["VIDEO#v, SHARD#9: Seconds 30", "VIDEO#v, SHARD#9: Views 1"])]),
        case(
            "the result in the source's own table",
            [
                put(order("paid"), ["s, TOTALS: Orders 1", "s, TOTALS: Revenue 7.5"]),
                delete(["s, TOTALS: Orders -1", "s, TOTALS: Revenue -7.5"]),
                put(totals, []),
            ],
        ),
    ]
}

fn order(status: &str) -> Json {
    json!({ "PK": { "S": "s" }, "SK": { "S": "ORDER#1" }, "Customer": { "M": { "Id": { "S": "ann" } } },
            "Price": { "N": "2.50" }, "Quantity": { "N": "3" }, "Status": { "S": status },
            "CreatedAt": { "S": "2026-03-05T14:07Z" } })
}

#[test]
fn each_recipe_does_what_the_page_says() {
    for Case { recipe: name, writes } in cases() {
        let definition = recipe(name);
        let mut old = None;
        for Write { image, does } in writes {
            assert_eq!(change(&definition, old.as_ref(), image.as_ref()), does, "{name}: from {old:?} to {image:?}");
            old = image;
        }
    }
}

#[test]
fn each_block_of_json_is_a_recipe_with_a_case() {
    let mut on_the_page: Vec<_> = blocks().into_iter().map(|(name, _)| name).filter(|name| *name != ITEM).collect();
    let mut of_cases: Vec<_> = cases().into_iter().map(|case| format!("recipe: {}", case.recipe)).collect();
    on_the_page.sort_unstable();
    of_cases.sort_unstable();
    assert_eq!(on_the_page, of_cases);
}

#[test]
fn the_recipes_say_what_becomes_of_a_missing_view_item_and_key() {
    assert_eq!(recipe("likes of a post").views()[0].on_missing(), OnMissingViewItem::Skip);
    assert_eq!(recipe("points on maps"), Definition::points_of_maps(SOURCE, "View").unwrap());
    let counted = |name: &str| contribution(&recipe(name), Image::New, &Item::default());
    assert!(counted("points on maps").is_err());
    assert!(counted("count by status").unwrap().parts.is_empty());
    // In its own table it is read as well, and the same without its condition is refused.
    let name = "recipe: the result in the source's own table";
    let (_, block) = blocks().into_iter().find(|(other, _)| *other == name).unwrap();
    let own = block.replace("\"Shop\"", &format!("{SOURCE:?}"));
    assert!(read(&own).is_ok());
    let unconditional = own.replace("begins_with(SK, 'ORDER#')", "PK <> ''");
    assert!(read(&unconditional).unwrap_err().contains("could count the items that the view"));
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

#[test]
fn the_bounds_of_the_page_are_those_of_the_code() {
    let thousands = |number: usize| format!("{},{:03}", number / 1_000, number % 1_000);
    let whole_digits = language::AMOUNT_DIGITS - language::AMOUNT_DECIMALS;
    for said in [
        format!("| counters of one view item that one image adds to | {} |", limits::IMAGE_COUNTERS),
        format!("| view items that one image adds to | {} |", limits::IMAGE_VIEW_ITEMS),
        format!("| keys, measures and groups that one image adds to | {} KB |", limits::IMAGE_BYTES / 1_024),
        format!("| the partition key's value | {} bytes |", thousands(limits::PARTITION_KEY_BYTES)),
        format!("| the sort key's value | {} bytes |", thousands(limits::SORT_KEY_BYTES)),
        format!("{whole_digits} digits before the point after rounding to {} decimals", language::AMOUNT_DECIMALS),
        format!("{} - n digits before the point", language::AMOUNT_DIGITS),
        format!("at most {} bytes and {} levels", thousands(language::TEXT_BYTES), language::NESTING_DEPTH),
        format!("n is a number from {} to {}", language::SHARDS_MIN, thousands(language::SHARDS_MAX as usize)),
        format!("has more than {} bytes or", thousands(limits::GROUP_NAME_BYTES)),
    ] {
        assert!(PAGE.contains(&said), "the page does not say: {said}");
    }
}
