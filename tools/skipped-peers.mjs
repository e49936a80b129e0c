// Lists, at the end of a run, each suite and test that was skipped. A suite's title carries the reason in brackets.
export default class SkippedPeers {
  onTestRunEnd(modules) {
    const lines = []
    const visit = (module, node) => {
      for (const child of node.children) {
        const tests = child.type === 'suite' ? [...child.children.allTests()] : [child]
        const skipped = tests.filter((test) => test.result().state === 'skipped')
        if (skipped.length > 0 && skipped.length === tests.length)
          lines.push({ file: module.relativeModuleId, name: child.name, count: tests.length })
        else if (child.type === 'suite') visit(module, child)
      }
    }
    for (const module of modules) visit(module, module)
    console.log(lines.length === 0 ? 'skipped: nothing, every peer was there' : 'skipped, and why:')
    for (const { file, name, count } of lines) {
      const [, title, reason] = /^(.*?)(?: \[(.*)\])?$/.exec(name)
      console.log(`  ${file}: ${title} (${count} ${count === 1 ? 'test' : 'tests'}): ${reason ?? 'no reason given'}`)
    }
  }
}
