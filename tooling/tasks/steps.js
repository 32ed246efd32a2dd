import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** What is counted when the tests never got as far as being counted. */
const NOTHING_RAN = { passed: 0, failed: 1, skipped: 0 }

/**
 * Runs a build and then the tests, and answers with the counts that the tests, a vitest with the
 * summary reporter, have sent. The counts name a failure whenever there was one, also if the build
 * failed, nothing was found to run, or the test runner died.
 */
export async function buildAndTest(build, tests) {
  if (!(await build()).ok) return NOTHING_RAN
  const { ok, counts } = await tests()
  if (counts === null) return NOTHING_RAN
  return ok || counts.failed > 0 ? counts : { ...counts, failed: 1 }
}

/** Runs a turbo task over the workspace, with nothing to see unless it fails. */
export async function turbo(task) {
  const options = ['run', task, '--output-logs=errors-only', '--continue=dependencies-successful']
  const ended = await run(process.execPath, [bin('turbo', 'bin/turbo'), ...options], 'pipe')
  if (!ended.ok) process.stderr.write(ended.output)
  return ended
}

/** Runs vitest once. */
export function vitest(args, output = 'inherit') {
  return run(process.execPath, [bin('vitest', 'vitest.mjs'), 'run', ...args], output)
}

/**
 * Runs a program to its end: whether it succeeded, what it printed if `output` is `pipe`, and the
 * counts of tests that it sent.
 */
export function run(program, args, output) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      stdio: ['inherit', output, output, 'ipc'],
      env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1' },
    })
    const printed = []
    child.stdout?.on('data', (chunk) => printed.push(chunk))
    child.stderr?.on('data', (chunk) => printed.push(chunk))
    let counts = null
    child.on('message', (message) => {
      counts = message.counts ?? counts
    })
    // A terminal interrupts the child as well; what is left to do here is to say how it ended.
    const wait = () => {}
    const terminate = () => child.kill()
    process.on('SIGINT', wait).on('SIGTERM', terminate)
    const end = (ok) => {
      process.off('SIGINT', wait).off('SIGTERM', terminate)
      resolve({ ok, counts, output: Buffer.concat(printed) })
    }
    child.on('error', (error) => {
      printed.push(Buffer.from(`${program}: ${error.message}\n`))
      end(false)
    })
    child.on('close', (code) => end(code === 0))
  })
}

/** A program that the workspace has installed, as a file that Node runs. */
export function bin(name, path) {
  return fileURLToPath(new URL(`../../node_modules/${name}/${path}`, import.meta.url))
}
