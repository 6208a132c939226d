//! The end: the process goes when it is told, at once, and nothing is lost by that.

use tokio::join;

use super::{AMPLE, event, landmarks};
use crate::proxy::{Fault, Proxy};
use crate::runtime_api::{Ended, Sandbox, Settings};

#[tokio::test]
async fn an_idle_process_ends_on_sigterm_with_success() {
    let sandbox = Sandbox::ready(&Settings::at("http://127.0.0.1:9")).await;
    assert_eq!(sandbox.terminate().await.code(), Some(0));
    assert_eq!(sandbox.stderr().await, [""; 0]);
}

#[tokio::test]
async fn a_process_that_waits_for_the_engine_ends_on_sigterm_and_the_batch_counts_once_when_it_comes_again() {
    let (engine, records) = landmarks(10).await;
    let batch = event(&records);
    for fault in [Fault::Hanging, Fault::AnswerLate(AMPLE)] {
        let proxy = Proxy::always(&engine.url, fault).await;
        let sandbox = Sandbox::ready(&Settings::on(&engine).through(&proxy)).await;
        let (ended, status) = join!(sandbox.invoke(&batch, AMPLE), async {
            proxy.reached(1).await;
            sandbox.terminate().await
        });
        assert_eq!((ended, status.code()), (Ended::Died, Some(0)), "{fault:?}");
    }
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    assert_eq!(sandbox.invoke(&batch, AMPLE).await, Ended::nothing_failed());
    engine.assert_exact().await;
    assert_eq!(engine.markers().await.len(), records.len());
}

#[tokio::test]
async fn a_process_that_is_killed_after_the_commit_and_before_the_answer_counts_once() {
    let (engine, records) = landmarks(10).await;
    let batch = event(&records);
    // The first transaction only finds out that the map is not there; the second is the commit.
    let mut requests = 0;
    let proxy = Proxy::start(&engine.url, move |_| {
        requests += 1;
        (requests == 2).then_some(Fault::AnswerLate(AMPLE))
    })
    .await;
    let sandbox = Sandbox::ready(&Settings::on(&engine).through(&proxy)).await;
    let (ended, _) = join!(sandbox.invoke(&batch, AMPLE), async {
        proxy.carried_out(2).await;
        sandbox.kill().await
    });
    assert_eq!(ended, Ended::Died);
    engine.assert_exact().await;

    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    assert_eq!(sandbox.invoke(&batch, AMPLE).await, Ended::nothing_failed());
    engine.assert_exact().await;
    assert_eq!(engine.markers().await.len(), records.len());
}
