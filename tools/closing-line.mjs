// Ends a test run with one plain line of counts, so that people and CI read the same number.
export default class ClosingLine {
  onTestRunEnd(modules, unhandledErrors) {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0, pending: 0 }
    for (const module of modules) {
      if (module.state() === 'failed' && [...module.children.allTests()].length === 0) count.failed += 1
      for (const test of module.children.allTests()) count[test.result().state] += 1
    }
    console.log(`\ntests: ${count.passed} passed, ${count.failed} failed, ${count.skipped + count.pending} skipped`)
  }
}
