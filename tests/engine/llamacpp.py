"""
llama.cpp's own server, as the package xllamacpp ships it, with a tiny model that is made here.

    llamacpp.py make FILE                        writes the model
    llamacpp.py serve FILE PORT ALIAS SLEEP_S    serves it until standard input ends; SLEEP_S 0: awake
"""

import sys

VOCABULARY, WIDTH, INNER, HEADS = 300, 32, 64, 2


def make(path):
    """A llama of one layer with random weights: it can be loaded and asked, and says nonsense."""
    import gguf
    import numpy

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("llama")
    pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    words = [f"w{i}" for i in range(VOCABULARY - 259)]
    writer.add_token_list([t.encode() for t in ["<unk>", "<s>", "</s>", *pieces, *words]])
    writer.add_token_scores([0.0] * VOCABULARY)
    kinds = gguf.TokenType
    special = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL]
    writer.add_token_types(special + [kinds.BYTE] * 256 + [kinds.NORMAL] * len(words))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    random = numpy.random.default_rng(1)

    def weights(name, *shape):
        values = random.standard_normal(shape) * 0.02
        writer.add_tensor(f"{name}.weight", values.astype(numpy.float32))

    def ones(name):
        writer.add_tensor(f"{name}.weight", numpy.ones(WIDTH, numpy.float32))

    weights("token_embd", VOCABULARY, WIDTH)
    weights("output", VOCABULARY, WIDTH)
    ones("output_norm")
    for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
        weights(f"blk.0.{part}", WIDTH, WIDTH)
    weights("blk.0.ffn_gate", INNER, WIDTH)
    weights("blk.0.ffn_up", INNER, WIDTH)
    weights("blk.0.ffn_down", WIDTH, INNER)
    ones("blk.0.attn_norm")
    ones("blk.0.ffn_norm")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(path, port, alias, sleep_s):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {alias}
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_ctx = 128
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.n_threads_http = 2
    params.endpoint_metrics = True
    params.sleep_idle_seconds = int(sleep_s) or -1
    # Weights are read, and the file is closed: nothing but the server itself knows of the use.
    params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
    server = xllamacpp.Server(params)
    print("serving", server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    {"make": make, "serve": serve}[sys.argv[1]](*sys.argv[2:])
