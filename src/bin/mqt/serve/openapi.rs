//! The description of the API, for programs: OpenAPI 3.1.

use serde_json::Value;

const TEXT: &str = include_str!("openapi.json");

/// The description, with this server's version and model.
pub(crate) fn document(model: &str) -> Value {
    let mut document: Value = serde_json::from_str(TEXT).unwrap_or_default();
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    let request = &mut document["components"]["schemas"]["Request"];
    request["properties"]["model"]["enum"] = serde_json::json!([model]);
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::request::HONOURED;
    use std::collections::BTreeSet;

    #[test]
    fn the_description_lists_what_a_request_may_hold() {
        let document = document("toybox");
        let properties = document["components"]["schemas"]["Request"]["properties"].as_object();
        let described: BTreeSet<&str> = properties.unwrap().keys().map(String::as_str).collect();
        assert_eq!(described, BTreeSet::from(HONOURED));
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
