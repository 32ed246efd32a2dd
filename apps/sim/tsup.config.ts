import { application } from '@coracle/tooling-tsup'

export default application({
  main: 'src/main.ts',
  worker: 'src/worker.ts',
  mutations: 'src/mutations.ts',
})
