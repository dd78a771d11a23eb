//! Requests that cannot be followed: what is said, and which exit code tells so.

use crate::common::{QUESTION, Tiny, visor};

#[test]
fn a_wrong_budget_lists_the_legal_ones() {
    let tiny = Tiny::new();
    let legal = "`sa0`, `sa1`, `sa2`, `sa3`";
    for budget in ["sa9", "SA0", "", "dense", "auto", "all"] {
        let error = tiny.ask(["--budget", budget, QUESTION]).error(2);
        assert!(error.contains(legal), "{budget}: {error}");
    }
}

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    let tiny = Tiny::new();
    let long = "red ".repeat(300);
    let cases: &[(i32, &[&str], &str)] = &[
        // Wrong usage.
        (2, &[""], "the prompt is empty"),
        (2, &["  \n"], "the prompt is empty"),
        (2, &["--max-gflops", "0", QUESTION], "positive number"),
        (2, &["--max-gflops", "-1", QUESTION], "unexpected argument '-1'"),
        (2, &["--max-gflops", "nan", QUESTION], "positive number"),
        (2, &["--max-gflops", "1e-6", QUESTION], "`sa0` costs"),
        (2, &["--max-gflops", "0.001", "--budget", "sa3", QUESTION], "`sa3` costs"),
        (2, &["--max-new-tokens", "0", QUESTION], "number would be zero"),
        (2, &["--max-new-tokens", "100000", QUESTION], "ask for at most"),
        (2, &["--temperature", "nan", QUESTION], "temperature must be a positive number"),
        (2, &["--temperature", "1", "--top-p", "1.5", QUESTION], "top-p must be above 0"),
        (2, &["--temperature", "1", "--top-k", "0", QUESTION], "top-k must be at least 1"),
        (2, &["--top-k", "3", QUESTION], "--temperature"),
        (2, &["--stop", "", QUESTION], "at least one character"),
        (2, &["--threads", "0", QUESTION], "0 is not in 1..=1024"),
        (2, &["--device", "abacus", QUESTION], "expected cpu, wgpu, cuda"),
        (2, &["--dtype", "f64", QUESTION], "expected f32, bf16, f16 or int8"),
        (2, &["--thrift", "0.1", QUESTION], "this model has no policy"),
        (2, &["--patches", "0", QUESTION], "expected all, auto, a number from 1 up"),
        (2, &["--patches", "4", QUESTION], "no patch selector"),
        (2, &["--overlay", "o.png", QUESTION], "--patches auto"),
        (2, &[QUESTION, "twice"], "unexpected argument 'twice'"),
        // Failure.
        (1, &[&long], "expected at most 255"),
        (1, &["colour <eos>"], "`<eos>`, which is reserved"),
        (1, &["--raw-prompt", "<image> colour <a>"], "1 image markers for 0 pictures"),
        (1, &["--device", "cuda:99", QUESTION], "cuda"),
        (
            1,
            &["--device", "cuda", "--dtype", "int8", QUESTION],
            "weights in int8 cannot be had on cuda",
        ),
        (1, &["--messages", "nowhere.json"], "nowhere.json"),
        (1, &["--policy", "nowhere", QUESTION], "there is no policy `nowhere`"),
    ];
    for (code, args, says) in cases {
        let error = tiny.ask(*args).error(*code);
        assert!(error.contains(says), "{args:?}: {error}");
    }
    let error = visor(["ask", "--model", "nowhere", QUESTION]).error(1);
    assert!(error.contains("there is no model `nowhere`"), "{error}");
    let error = visor(["ask", "--offline", "--model", "some/model", QUESTION]).error(1);
    assert!(error.contains("`some/model` at revision `main` is not in the cache"), "{error}");
    visor(["ask"]).error(2);
    visor(["asks"]).error(2);
}
