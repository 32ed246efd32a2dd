import { application } from '@coracle/tooling-tsup'

export default application({
  main: 'src/main.ts',
  'local-cluster': 'src/local-cluster.ts',
  client: 'src/client.ts',
  colors: 'src/colors.ts',
  processes: 'src/processes/index.ts',
})
