// Runs ONNX models in ONNX Runtime:  node run_models.js JOBS.json
// JOBS is an array of {"model", "input", "shape", "output", "optimize"}: files of raw little-endian
// float32 values, the shape of the input, and whether the runtime may fuse operators.
'use strict';
const fs = require('fs');
const ort = require('onnxruntime-node');

async function run(job) {
  const session = await ort.InferenceSession.create(job.model, {
    graphOptimizationLevel: job.optimize ? 'all' : 'disabled',
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const bytes = fs.readFileSync(job.input);
  const values = new Float32Array(bytes.length / 4);
  new Uint8Array(values.buffer).set(bytes);
  const feeds = {[session.inputNames[0]]: new ort.Tensor('float32', values, job.shape)};
  const result = (await session.run(feeds))[session.outputNames[0]];
  fs.writeFileSync(job.output, new Uint8Array(result.data.buffer, result.data.byteOffset,
                                              result.data.byteLength));
}

async function main() {
  for (const job of JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))) {
    try {
      await run(job);
    } catch (error) {
      throw new Error(`${job.model}: ${error.message}`);
    }
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
