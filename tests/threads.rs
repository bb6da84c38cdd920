//! Futures can be spawned natively: what a server awaits moves between threads.

use mqt::gpu::AdapterChoice;
use mqt::image::{Picture, Reading};
use mqt::model::{LoadOptions, ModelSource};
use mqt::{Budget, Cancel, Model, Request, Session};
use std::sync::Arc;

/// Answers on a thread of its own, future and all.
fn elsewhere<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    std::thread::spawn(|| pollster::block_on(future)).join().expect("the thread did not panic")
}

#[test]
fn loading_looking_and_asking_move_between_threads() {
    let options = LoadOptions::on(AdapterChoice::Cpu);
    let model = elsewhere(async move {
        Model::load(&ModelSource::Bundled, &options, &mut |_| {}).await.map(Arc::new)
    })
    .unwrap();
    let text = elsewhere(async move {
        let bytes = std::fs::read("models/toybox/samples/toybox-1.png").unwrap();
        let picture = Picture::read(&bytes, Reading::People)?;
        let mut session = Session::new(model.clone(), 512, &Cancel::new()).await?;
        session.look(&picture, &Cancel::new()).await?;
        let mut request = Request::new("How many things are there?");
        request.budget = Budget::Fixed(64);
        let mut heard = String::new();
        let answer = session.ask(&request, &Cancel::new(), &mut |piece| heard += piece).await?;
        assert_eq!(heard, answer.text);
        Ok::<_, mqt::Error>(answer.text)
    });
    assert_eq!(text.unwrap(), "3");
}
