//! Files in memory, for the targets.

use mqt::future::Boxed;
use mqt::model::Files;
use std::ops::Range;

/// Named contents.
pub struct Memory(pub Vec<(&'static str, Vec<u8>)>);

impl Memory {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, bytes)| bytes.as_slice())
    }
}

impl Files for Memory {
    fn describe(&self) -> String {
        "memory".into()
    }

    fn size<'a>(&'a self, name: &'a str) -> Boxed<'a, mqt::Result<Option<u64>>> {
        Box::pin(async move { Ok(self.get(name).map(|bytes| bytes.len() as u64)) })
    }

    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> Boxed<'a, mqt::Result<Vec<u8>>> {
        // A range outside the file is a bug of the reader: it panics here.
        Box::pin(async move {
            Ok(self.get(name).expect("it has a size")[range.start as usize..range.end as usize]
                .to_vec())
        })
    }

    fn list(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn folder(&self, _: &str) -> Option<Box<dyn Files>> {
        None
    }
}
