//! What is known without weights.

use crate::support::*;
use visor::{Flops, ModelInfo, PictureSize, Question, fixture};

const SIZE: PictureSize = PictureSize { width: 640, height: 480 };

#[test]
fn a_model_is_inspected_without_its_weights() {
    let folder = Folder::universal();
    let loaded = folder.load().unwrap();
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let info = ModelInfo::open(&folder.model_ref()).unwrap();
    assert_eq!(info.card().parameters, loaded.card().parameters);
    assert_eq!(info.card().ladder, loaded.card().ladder);
    assert_eq!(info.card().name, "tiny");
    assert_eq!((info.card().sha256.as_ref(), info.card().eos.as_slice()), (None, &[4][..]));
    assert_eq!(loaded.card().sha256.as_ref().map(String::len), Some(64));
    assert_eq!(info.layout().decision_layer().0, 2);
    assert_eq!(info.manifest().unwrap().provenance.seed, 1);
    assert!(folder.load().is_err());
}

#[test]
fn the_costs_of_an_inspection_are_those_of_the_answer() {
    let folder = Folder::universal();
    let model = folder.load().unwrap();
    let costs = ModelInfo::open(&folder.model_ref()).unwrap().costs(6, &[SIZE]);
    assert_eq!(costs, model.costs(6, &[SIZE]));
    let names: Vec<_> = costs.rungs.iter().map(|rung| rung.name.as_str()).collect();
    assert_eq!(names, fixture::RUNGS);
    for rung in &costs.rungs {
        // Five words and the token that asks for the answer.
        let budget = rung.name.parse().unwrap();
        let answer = model.ask(question().budget(budget)).unwrap();
        assert_eq!(answer.cost.cold, rung.scopes);
        assert_eq!(answer.cost.dense, costs.dense.scopes);
        assert_eq!(answer.cost.kv_bytes, rung.kv_bytes);
    }
    let two = model.costs(6, &[SIZE; 2]);
    assert!(two.dense.scopes.end_to_end > costs.dense.scopes.end_to_end);
    assert_eq!(model.costs(6, &[]).rungs[0].scopes.vision_side, {
        // Without a picture cross-attention still reads the null key.
        let decoder = model.card().shape.decoder;
        decoder.cross_add_on(6, 0) * 3
    });
    let text_only = model.ask(Question::new(fixture::QUESTION)).unwrap();
    assert_eq!(text_only.cost.dense.vision_side, Flops(0));
}

#[test]
fn a_stock_model_has_its_dense_cost_alone() {
    let folder = Folder::stock();
    let info = ModelInfo::open(&folder.model_ref()).unwrap();
    assert!(info.card().ladder.is_none() && info.manifest().is_none());
    assert!(info.layout().is_stock());
    let costs = info.costs(6, &[SIZE]);
    assert!(costs.rungs.is_empty());
    assert_eq!(costs.dense.self_attention_layers.len(), 7);
    assert_eq!(info.card().parameters, folder.load().unwrap().card().parameters);
}
