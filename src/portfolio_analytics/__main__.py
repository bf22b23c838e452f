"""`python -m portfolio_analytics` is the command `portfolio-analytics`."""

from portfolio_analytics.cli import main

if __name__ == "__main__":
    main()
