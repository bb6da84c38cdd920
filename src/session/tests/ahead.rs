//! A first picture that is encoded while the decoder's weights are read.

use super::*;
use crate::future::Boxed;
use crate::model::{FirstPicture, Opened, PictureKey};
use half::f16;
use std::sync::Mutex;

/// Keeps what it is given.
#[derive(Default)]
struct Shelf(Mutex<Vec<(PictureKey, Vec<f16>)>>);

impl PictureStore for Shelf {
    fn get<'a>(&'a self, key: &'a PictureKey, len: usize) -> Boxed<'a, Option<Vec<f16>>> {
        let kept = self.0.lock().unwrap();
        let found = kept.iter().find(|(own, values)| own == key && values.len() == len);
        let found = found.map(|(_, values)| values.clone());
        Box::pin(async move { found })
    }

    fn put<'a>(&'a self, key: &'a PictureKey, values: &'a [f16]) -> Boxed<'a, ()> {
        self.0.lock().unwrap().push((key.clone(), values.to_vec()));
        Box::pin(async {})
    }
}

fn adapters() -> Vec<AdapterChoice> {
    let gpu = gpu_or_skip().is_some().then_some(AdapterChoice::Gpu);
    [AdapterChoice::Cpu].into_iter().chain(gpu).collect()
}

fn first(at: usize, store: Option<Arc<dyn PictureStore>>) -> FirstPicture {
    FirstPicture {
        read: Box::new(move || Some(picture(at))),
        image_tokens: None,
        select: Select::Nested,
        store,
    }
}

/// The bundled model, opened with `first`.
fn load(
    adapter: AdapterChoice,
    arithmetic: Arithmetic,
    first: Option<FirstPicture>,
    cancel: &Cancel,
) -> Result<Arc<Model>> {
    let options =
        LoadOptions { adapter, arithmetic, cancel: cancel.clone(), ..LoadOptions::default() };
    let opened = block_on(Opened::at(&ModelSource::Bundled, &options))?;
    let opened = match first {
        Some(first) => opened.with_picture(first),
        None => opened,
    };
    Ok(Arc::new(block_on(opened.load(&options, &mut |_| {}))?))
}

#[test]
fn a_first_picture_is_encoded_while_weights_are_read() {
    for adapter in adapters() {
        let never = Cancel::new();
        let load = |first| load(adapter.clone(), Arithmetic::Exact, first, &never).unwrap();
        let (with, without) = (load(Some(first(20, None))), load(None));
        let (mut ahead, mut plain) = (session(&with, 256), looking(&without, 256, 20));

        let looked = block_on(ahead.look(&picture(20), &never)).unwrap();
        assert_eq!((looked.vision_runs, looked.waited_ms()), (1, 0.0));
        assert!(looked.ms() > 0.0);
        let (got, want) =
            (ask(&mut ahead, "What is this?", 16), ask(&mut plain, "What is this?", 16));
        assert_eq!(got.token_ids, want.token_ids);
        assert_eq!((got.vision_runs, want.vision_runs), (1, 1));
        // The record has what it took; the wait for the first token has not.
        assert!(got.timings_ms.vision > 0.0);
        let rest = got.timings_ms.total - got.timings_ms.prefill - got.timings_ms.decode;
        assert!(rest < got.timings_ms.vision + got.timings_ms.prefill, "{:?}", got.timings_ms);

        // It is taken once: another session encodes for itself.
        let looked = block_on(session(&with, 256).look(&picture(20), &never)).unwrap();
        assert_eq!((looked.vision_runs, looked.hidden_ms), (1, 0.0));
    }
}

#[test]
fn another_picture_than_the_first_is_encoded_when_it_is_looked_at() {
    let never = Cancel::new();
    let model = load(AdapterChoice::Cpu, Arithmetic::Exact, Some(first(20, None)), &never).unwrap();
    let mut session = session(&model, 256);
    let looked = block_on(session.look(&picture(40), &never)).unwrap();
    assert_eq!((looked.vision_runs, looked.hidden_ms), (1, 0.0));
    let got = ask(&mut session, "What is this?", 16);
    assert_eq!(got.token_ids, ask(&mut looking(&model, 256, 40), "What is this?", 16).token_ids);
    // The first one is still there.
    assert!(block_on(session.look(&picture(20), &never)).unwrap().hidden_ms > 0.0);
}

#[test]
fn a_first_picture_that_is_kept_is_not_encoded() {
    let (never, shelf) = (Cancel::new(), Arc::new(Shelf::default()));
    let store = || shelf.clone() as Arc<dyn PictureStore>;
    let runs = || {
        let first = first(20, Some(store()));
        let model = load(AdapterChoice::Cpu, Arithmetic::Fast, Some(first), &never).unwrap();
        let mut session = session(&model, 256);
        session.keep_pictures(store());
        block_on(session.look(&picture(20), &never)).unwrap().vision_runs
    };
    assert_eq!((runs(), runs()), (1, 0));
    assert_eq!(shelf.0.lock().unwrap().len(), 1);
}

#[test]
fn a_first_picture_that_cannot_be_read_keeps_no_model_from_loading() {
    let never = Cancel::new();
    let reads: [Box<dyn FnOnce() -> Option<Picture> + Send + Sync>; 3] = [
        Box::new(|| None),
        Box::new(|| panic!("a picture's reader is at fault")),
        Box::new(|| Some(Picture { rgb: vec![], width: 0, height: 0, readings_differ: false })),
    ];
    for read in reads {
        let first = FirstPicture { read, ..first(20, None) };
        let model = load(AdapterChoice::Cpu, Arithmetic::Exact, Some(first), &never).unwrap();
        let looked = block_on(session(&model, 256).look(&picture(20), &never)).unwrap();
        assert_eq!((looked.vision_runs, looked.hidden_ms), (1, 0.0));
    }
}

#[test]
fn stop_while_weights_are_read_stops_the_first_picture() {
    let cancel = Cancel::new();
    let alive = Arc::new(());
    let (stop, held) = (cancel.clone(), alive.clone());
    let read = move || {
        let _held = held;
        stop.cancel();
        Some(picture(20))
    };
    let first = FirstPicture { read: Box::new(read), ..first(20, None) };
    match load(AdapterChoice::Cpu, Arithmetic::Exact, Some(first), &cancel) {
        Err(error) => assert!(matches!(error, Error::Cancelled), "{error}"),
        // The weights were quicker.
        Ok(model) => {
            let looked = block_on(session(&model, 256).look(&picture(20), &Cancel::new())).unwrap();
            assert_eq!((looked.vision_runs, looked.hidden_ms), (1, 0.0));
        }
    }
    // The thread has ended with the loading.
    assert_eq!(Arc::strong_count(&alive), 1);
}
