const int mu_worker_placeholder = 0;
