// Laws change the number of threads and poison memory, so they run one after another.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
