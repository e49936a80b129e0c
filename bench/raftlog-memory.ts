// Replays the log in a directory and says by how many bytes the process grew meanwhile: bench/raftlog-replay.ts starts
// it as a process of its own, so that nothing else counts.
import { openBenchLog } from './raftlog-fixture.ts'

const SAMPLE_EVERY = 4096

const [directory] = process.argv.slice(2)
const before = process.memoryUsage.rss()
let peak = before
let seen = 0
await using log = await openBenchLog(directory!)
for await (const { data } of log.entries()) {
  seen += data.length > 0 ? 1 : 0
  if (seen % SAMPLE_EVERY === 0) peak = Math.max(peak, process.memoryUsage.rss())
}
console.log(JSON.stringify({ seen, grownBytes: peak - before }))
