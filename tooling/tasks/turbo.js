/** `node tooling/tasks/turbo.js build`: runs a turbo task, quiet unless it fails. */
import { turbo } from './steps.js'

const [task] = process.argv.slice(2)
if (task === undefined) throw new TypeError('name a task of turbo.json')
if (!(await turbo(task)).ok) process.exitCode = 1
