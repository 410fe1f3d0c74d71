const int mu_config_placeholder = 0;
