/**
 * Counts a run in the words `N passed, N failed`, and `, N skipped` if there are any.
 *
 * Whatever went wrong counts: a test, a hook, a file that does not load, an error that no test
 * caught, and a test that never came to its end. When `test.js` started the run, it gets the counts
 * and prints them after everything else; else they are printed on exit.
 */
export default class SummaryReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    for (const module of modules) countModule(module, counts)
    if (process.send === undefined) process.once('exit', () => console.log(summary(counts)))
    else process.send({ counts })
  }
}

/** The line that a run ends with. */
export function summary({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`
}

function countModule(module, counts) {
  const before = counts.failed
  counts.failed += module.errors().length
  for (const suite of module.children.allSuites()) counts.failed += suite.errors().length
  for (const test of module.children.allTests()) {
    const { state } = test.result()
    if (state === 'passed') counts.passed += 1
    else if (state === 'skipped') counts.skipped += 1
    else counts.failed += 1
  }
  if (module.state() === 'failed' && counts.failed === before) counts.failed += 1
}
