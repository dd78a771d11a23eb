//! `/openapi.json`: what can be asked, for programs.

use serde_json::{Value, json};

/// The document, in the form of OpenAPI 3.1.
pub fn document() -> Value {
    let error = || json!({"$ref": "#/components/responses/Error"});
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "visor",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Chat completions in the manner of OpenAI, at a compute budget that is \
                            chosen per request. What is not described here is refused by name; a \
                            field that is null is not there.",
        },
        "security": [{"key": []}, {}],
        "paths": {
            "/v1/chat/completions": {"post": {
                "summary": "Answer a conversation",
                "operationId": "createChatCompletion",
                "parameters": [
                    header("x-visor-budget", "string", "As visor.budget"),
                    header("x-visor-max-gflops", "number", "As visor.max_gflops"),
                    header("x-visor-thrift", "number", "As visor.thrift"),
                    header("x-visor-patches", "string", "As visor.patches"),
                    header("x-visor-affinity", "string",
                        "For balancers alone: the name of a picture, as answers give it"),
                ],
                "requestBody": {"required": true, "content": {"application/json": {
                    "schema": {"$ref": "#/components/schemas/ChatRequest"}}}},
                "responses": {
                    "200": {
                        "description": "The answer, or its pieces",
                        "content": {
                            "application/json": {
                                "schema": {"$ref": "#/components/schemas/ChatCompletion"}},
                            "text/event-stream": {"schema": {
                                "type": "string",
                                "description": "Events: a ChatCompletionChunk each, and [DONE] at \
                                                the end; an Error where it breaks off"}},
                        },
                    },
                    "400": error(), "401": error(), "404": error(), "408": error(),
                    "413": error(), "415": error(), "421": error(), "429": error(),
                    "500": error(), "503": error(), "504": error(),
                },
            }},
            "/v1/models": {"get": {
                "summary": "List models, and each budget of them as a model of its own",
                "operationId": "listModels",
                "responses": {"200": {"description": "The list"}, "401": error(), "503": error()},
            }},
            "/v1/models/{model}": {"get": {
                "summary": "Describe a model",
                "operationId": "retrieveModel",
                "parameters": [{"name": "model", "in": "path", "required": true,
                                "schema": {"type": "string"}}],
                "responses": {"200": {"description": "The model"}, "401": error(), "404": error()},
            }},
            "/health": {"get": {
                "summary": "Whether requests are answered", "security": [{}],
                "responses": {
                    "200": {"description": "They are"},
                    "503": {"description": "Models are being loaded, or the server ends"},
                },
            }},
            "/metrics": {"get": {
                "summary": "Counts and times for Prometheus",
                "responses": {"200": {"description": "OpenMetrics text"}, "401": error()},
            }},
            "/openapi.json": {"get": {
                "summary": "This document",
                "responses": {"200": {"description": "OpenAPI 3.1"}, "401": error()},
            }},
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "responses": {"Error": {
                "description": "Why there is no answer",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            }},
            "schemas": schemas(),
        },
    })
}

fn header(name: &str, kind: &str, description: &str) -> Value {
    json!({"name": name, "in": "header", "required": false, "description": description,
           "schema": {"type": kind}})
}

fn schemas() -> Value {
    json!({
        "ChatRequest": {
            "type": "object",
            "additionalProperties": false,
            "required": ["model", "messages"],
            "properties": {
                "model": {"type": "string",
                    "description": "NAME, NAME@RUNG, NAME@dense or NAME@auto"},
                "messages": {"type": "array", "items": {"$ref": "#/components/schemas/Message"}},
                "max_tokens": {"type": "integer", "minimum": 1},
                "max_completion_tokens": {"type": "integer", "minimum": 1},
                "temperature": {"type": "number", "minimum": 0,
                    "description": "Left out or 0: the best token is taken"},
                "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                "top_k": {"type": "integer", "minimum": 1},
                "seed": {"type": "integer", "minimum": 0,
                    "description": "Left out: another one for each request that draws"},
                "stop": {"oneOf": [
                    {"type": "string"},
                    {"type": "array", "maxItems": 4, "items": {"type": "string"}}]},
                "stream": {"type": "boolean", "default": false},
                "stream_options": {"type": "object", "additionalProperties": false,
                    "properties": {
                        "include_usage": {"type": "boolean"},
                        "include_obfuscation": {"const": false}}},
                "visor": {"$ref": "#/components/schemas/Knobs"},
                "n": {"const": 1},
                "frequency_penalty": {"const": 0},
                "presence_penalty": {"const": 0},
                "logprobs": {"const": false},
                "top_logprobs": {"const": 0},
                "logit_bias": {"type": "object", "maxProperties": 0},
                "tools": {"type": "array", "maxItems": 0},
                "functions": {"type": "array", "maxItems": 0},
                "tool_choice": {"const": "none"},
                "function_call": {"const": "none"},
                "parallel_tool_calls": {"const": false},
                "store": {"const": false},
                "service_tier": {"const": "auto"},
                "response_format": {"type": "object",
                    "properties": {"type": {"const": "text"}}},
                "modalities": {"const": ["text"]},
            },
        },
        "Message": {
            "type": "object",
            "additionalProperties": false,
            "required": ["role", "content"],
            "properties": {
                "role": {"enum": ["system", "developer", "user", "assistant"]},
                "content": {"oneOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"oneOf": [
                        {"type": "object", "required": ["type", "text"],
                         "properties": {"type": {"const": "text"}, "text": {"type": "string"}}},
                        {"type": "object", "required": ["type", "image_url"],
                         "properties": {"type": {"const": "image_url"}, "image_url": {
                            "type": "object", "required": ["url"], "properties": {
                                "url": {"type": "string", "description":
                                    "data:image/...;base64,..., or an address where allowed"},
                                "detail": {"enum": ["auto", "low", "high"]}}}}},
                    ]}},
                ]},
                "refusal": {"const": "", "description": "Of the role assistant, as the next two"},
                "tool_calls": {"type": "array", "maxItems": 0},
                "annotations": {"type": "array", "maxItems": 0},
            },
        },
        "Knobs": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "budget": {"type": "string", "description": "A rung, dense, or auto"},
                "max_gflops": {"type": "number", "exclusiveMinimum": 0,
                    "description": "Most GFLOPs before the first token"},
                "thrift": {"type": "number", "minimum": 0,
                    "description": "How much cost weighs where a policy chooses"},
                "patches": {"oneOf": [
                    {"enum": ["all", "auto"]},
                    {"type": "integer", "minimum": 1},
                    {"type": "string", "pattern": "^random/[1-9][0-9]*(#[0-9]+)?$"},
                ]},
                "max_tiles": {"type": "integer", "minimum": 1},
            },
        },
        "ChatCompletion": {
            "type": "object",
            "required": ["id", "object", "created", "model", "choices", "usage"],
            "properties": {
                "usage": {"$ref": "#/components/schemas/Usage"},
            },
        },
        "ChatCompletionChunk": {
            "type": "object",
            "required": ["id", "object", "created", "model", "choices"],
            "properties": {
                "usage": {
                    "oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Usage"}],
                    "description": "With stream_options.include_usage alone: null up to the last \
                                    chunk, which has it"},
            },
        },
        "Usage": {
            "type": "object",
            "properties": {
                "prompt_tokens": {"type": "integer"},
                "completion_tokens": {"type": "integer"},
                "total_tokens": {"type": "integer"},
                "visor": {"$ref": "#/components/schemas/Spent"},
            },
        },
        "Spent": {
            "type": "object",
            "properties": {
                "requested": {"type": ["string", "null"]},
                "chosen": {"type": "string"},
                "basis": {"enum": ["requested", "ceiling", "default", "predicted", "capped",
                                   "lowered"]},
                "wanted": {"type": ["string", "null"],
                    "description": "The dearer rung that it would have been"},
                "self_attention_layers": {"type": "array", "items": {"type": "integer"}},
                "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
                "thrift": {"type": ["number", "null"]},
                "seed": {"type": ["integer", "null"],
                    "description": "Gives the same answer again; null: nothing was drawn"},
                "patches": {"type": ["integer", "null"], "description": "null: all of them"},
                "visual_tokens": {"type": "integer"},
                "pictures": {"type": "integer"},
                "cached_pictures": {"type": "integer"},
                "cache_hit": {"type": "boolean"},
                "gflops": {"type": "number"},
                "gflops_spent": {"type": "number"},
                "gflops_dense": {"type": "number"},
                "saving": {"type": "number"},
                "kv_bytes": {"type": "integer"},
                "timing_ms": {"type": "object", "additionalProperties": {"type": "number"}},
            },
        },
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": {"type": "object", "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
                "request_id": {"type": "string"}}}},
        },
    })
}
