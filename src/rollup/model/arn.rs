//! Tables, by their names and their ARNs.

/// What a table's ARN says after `table/`: the table's name, and what belongs to the table. An ARN is `arn:`, the
/// partition, the service, the Region, the account and then this, with colons between.
#[must_use]
pub fn arn_path(arn: &str) -> Option<&str> {
    arn.strip_prefix("arn:")?.splitn(5, ':').nth(4)?.strip_prefix("table/")
}

/// The name of a table that is given by its name or its ARN.
#[must_use]
pub fn table_name(table: &str) -> &str {
    let name = arn_path(table).unwrap_or(table);
    name.split('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_one_name() {
        let arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/Orders";
        for (table, expected) in [("Orders", "Orders"), (arn, "Orders"), (&format!("{arn}/stream/now"), "Orders")] {
            assert_eq!(table_name(table), expected);
        }
    }
}
