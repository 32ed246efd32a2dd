/** Prints `N passed, N failed` as the last line of a run, for people and for machines. */
export default class SummaryReporter {
  onTestRunEnd(modules, unhandledErrors) {
    let passed = 0
    let failed = unhandledErrors.length
    let skipped = 0
    for (const module of modules) {
      if (module.state() === 'failed' && module.children.size === 0) failed += 1
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') passed += 1
        else if (state === 'failed') failed += 1
        else skipped += 1
      }
    }
    const tail = skipped === 0 ? '' : `, ${skipped} skipped`
    process.on('exit', () => console.log(`${passed} passed, ${failed} failed${tail}`))
  }
}
