#!/usr/bin/env bash
# On a machine with a GPU: train the demo on executors with GPUs of their own as Spark gives them, then measure the network
# of its flights on GPU and CPU. Usage: bench/gpu.sh [FOLDER]; the figures for gpu.md are in FOLDER/results.json.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-.demo/gpu}")
bin=${SPARK_SYNTH_VENV:-.venv}/bin
command -v nvidia-smi >/dev/null || { echo "error: nvidia-smi is not there: this needs an NVIDIA GPU" >&2; exit 2; }
gpus=$(nvidia-smi --query-gpu=index --format=csv,noheader | wc -l)
make SPARK_SYNTH_VENV="${SPARK_SYNTH_VENV:-.venv}" "$bin/.dev-installed"
mkdir -p "$out"
"$bin/python" jobs/demo_data.py "$out/source"

cat >"$out/gpus.sh" <<'SCRIPT'
#!/bin/sh
nvidia-smi --query-gpu=index --format=csv,noheader | awk '
  { list = list sep "\"" $1 "\""; sep = "," } END { print "{\"name\": \"gpu\", \"addresses\": [" list "]}" }'
SCRIPT
chmod +x "$out/gpus.sh"
cat >"$out/config.yaml" <<YAML
source: {path: $out/source}
schema: conf/demo.schema.yaml
output: $out/out
train: {max_minutes: 3}
model: {batch_rows: 8192}
spark:
  master: local-cluster[$gpus,4,16384]
  conf:
    spark.executor.memory: 12g
    spark.worker.resource.gpu.amount: "$gpus"
    spark.worker.resource.gpu.discoveryScript: $out/gpus.sh
    spark.executor.resource.gpu.amount: "1"
    spark.executor.resource.gpu.discoveryScript: $out/gpus.sh
    # four tables share a GPU: one process alone leaves it idle most of the time
    spark.task.resource.gpu.amount: "0.25"
YAML
nvidia-smi --query-gpu=name,utilization.gpu,memory.used --format=csv,noheader -l 1 >"$out/usage.csv" &
watch=$!
trap 'kill $watch' EXIT
"$bin/spark-synth" train --conf "$out/config.yaml" | tee "$out/train.log"

work=$(ls -d "$out"/out/_work/train-*/ | head -1)
"$bin/python" -m bench.gpu pack "$work/model/flights" "$work/packs/flights" "$out/families.safetensors"
"$bin/python" -m bench.gpu measure "$work/model/flights" "$out/families.safetensors" --out "$out"
echo "$out/results.json"
