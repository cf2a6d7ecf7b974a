// Drives npm's @huggingface/hub for the tests: reads one JSON request a line, answers with one a
// line. LARDER_NODE_MODULES names the folder in which the package is installed.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

const require = createRequire(join(process.env.LARDER_NODE_MODULES, "client.js"));
const hub = require("@huggingface/hub");

console.debug = console.log = console.info = (...args) => console.error(...args);

const designation = (request) => ({ type: request.type ?? "model", name: request.repo });

async function download(request) {
  return hub.snapshotDownload({
    repo: designation(request),
    revision: request.revision,
    cacheDir: request.cache,
    hubUrl: request.hub,
  });
}

async function scan(request) {
  const info = await hub.scanCacheDir(request.cache);
  const repos = {};
  for (const repo of info.repos) {
    const revisions = {};
    for (const rev of repo.revisions) {
      const files = {};
      for (const file of rev.files) files[file.path.slice(rev.path.length + 1)] = file.blob.size;
      revisions[rev.commitOid] = { refs: [...rev.refs].sort(), files };
    }
    repos[`${repo.id.type}/${repo.id.name}`] = { size: repo.size, revisions };
  }
  return { warnings: info.warnings.map((w) => String(w.message ?? w)).sort(), repos };
}

// Reads every file of a folder; how many bytes there are.
async function read({ folder }) {
  let total = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isDirectory()) total += (await readFile(join(entry.parentPath ?? entry.path, entry.name))).length;
  }
  return total;
}

// Downloads, then reads.
const load = async (request) => read({ folder: await download(request) });

const version = async () => require("@huggingface/hub/package.json").version;
const operations = { version, download, scan, read, load };

async function answer(request) {
  try {
    return { result: await operations[request.op](request) };
  } catch (error) {
    const enoent = error?.code === "ENOENT" || error?.cause?.code === "ENOENT";
    return { error: error?.name ?? "Error", message: String(error?.message ?? error), enoent };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + "\n");
}
